// The seam to the operating system: every file the programs read or publish
// passes through here, so that tests can fail or record each call.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace erofs_format::os {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC added; the error names `path`.
Result<UniqueFd> open(const std::string& path, int flags, mode_t mode = 0644);
Result<UniqueFd> open_at(int directory, const std::string& name, int flags, mode_t mode = 0644);
Result<struct stat> stat_of(int fd, const std::string& name);

// One read(2), retried on EINTR. 0 = end of file.
Result<size_t> read_some(int fd, MutableBytes into, const std::string& name);
// Exactly into.size() bytes from `offset`; a shorter file is Code::corrupt.
Result<void> pread_exact(int fd, uint64_t offset, MutableBytes into, const std::string& name);
Result<void> write_all(int fd, ByteView bytes, const std::string& name);
Result<void> pwrite_all(int fd, uint64_t offset, ByteView bytes, const std::string& name);

// Has the kernel begin to write these bytes to the disk, so that a later fsync has less to wait for. Only a
// hint: pipes and some file systems know no such thing.
void begin_writeback(int fd, uint64_t offset, uint64_t size);
// Gives memory back whose content nobody reads again: whole pages of `bytes` hold zeros from then on.
void discard(MutableBytes bytes);
// A whole file of at most `limit` bytes.
Result<Buffer> read_file(const std::string& path, uint64_t limit);
Result<Buffer> read_file(int fd, const std::string& name, uint64_t limit);

// Creates one directory; an existing one is fine.
Result<void> make_directory(const std::string& path, mode_t mode = 0755);
Result<void> make_directories(const std::string& path, mode_t mode = 0755);
std::string parent_directory(const std::string& path);
std::string base_name(const std::string& path);

// A file that has no final name until publish(): written under a temporary
// name beside it, then fsync, rename, fsync of the directory. Dropped unpublished,
// it removes the temporary. Temporaries are also removed on SIGINT/SIGTERM
// once remove_temporaries_on_signals() was called.
class PendingFile {
 public:
  // `directory` must exist. The final name may be decided as late as publish().
  static Result<PendingFile> create(const std::string& directory, mode_t mode = 0644);
  PendingFile(PendingFile&& other) noexcept;
  PendingFile& operator=(PendingFile&& other) noexcept;
  ~PendingFile();

  int fd() const { return fd_.get(); }
  const std::string& temporary_path() const { return temporary_; }
  // Makes the file visible as `directory`/`name`, replacing an older one.
  Result<void> publish(const std::string& name);

 private:
  PendingFile() = default;
  void discard();
  std::string directory_;
  std::string temporary_;
  UniqueFd fd_;
};

// Writes a whole file through PendingFile.
Result<void> publish_file(const std::string& path, ByteView bytes, mode_t mode = 0644);

// Takes away what processes that were killed left pending below `directory`; nobody may be writing there.
void remove_abandoned(const std::string& directory);

// On SIGINT and SIGTERM: unlink every pending temporary, then die of the signal.
void remove_temporaries_on_signals();

}  // namespace erofs_format::os
