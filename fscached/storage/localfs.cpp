#include "fscached/storage/localfs.h"

#include <fmt/format.h>

#include <map>

#include "erofs-format/base/os.h"
#include "fscached/storage/blob_file.h"

namespace fscached {
namespace {

struct Read {
  os::UniqueFd fd;
  std::string path;
  uint64_t offset = 0;
  std::span<uint8_t> into;
  size_t got = 0;
  bool cancelled = false;
  Storage::Done done;
};

class LocalFs final : public Storage {
 public:
  LocalFs(Loop& loop, std::string directory, StorageCounters& counters, OpenElsewhere open_elsewhere)
      : loop_(loop),
        directory_(std::move(directory)),
        counters_(counters),
        open_elsewhere_(std::move(open_elsewhere)) {}

  FetchId read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into, Done done) override;
  void cancel(FetchId id) override;
  void size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) override;
  std::string describe() const override { return directory_ + "/"; }

 private:
  using Shared = std::shared_ptr<Read>;
  using Opened = std::function<void(Result<os::UniqueFd>)>;
  std::string path_of(const std::string& blob_id) const { return directory_ + "/" + blob_id; }
  void open(const std::string& blob_id, Opened opened);
  void begin(FetchId id, Result<os::UniqueFd> fd);
  void step(FetchId id);
  void arrived(FetchId id, int32_t result);
  void finish(FetchId id, Result<void> result);
  // Runs `task` from the loop, unless this storage is gone by then.
  void later(std::function<void()> task) {
    loop_.post([alive = std::weak_ptr<bool>(alive_), task = std::move(task)] {
      if (!alive.expired()) task();
    });
  }

  Loop& loop_;
  std::string directory_;
  StorageCounters& counters_;
  OpenElsewhere open_elsewhere_;
  std::map<FetchId, Shared> reads_;
  FetchId next_id_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// `opened` runs at once, or later, and not when this storage is gone by then.
void LocalFs::open(const std::string& blob_id, Opened opened) {
  auto fd = open_blob_file(directory_, blob_id);
  if (fd || fd.error().sys_errno != EACCES || !open_elsewhere_) return opened(std::move(fd));
  open_elsewhere_(
      directory_, blob_id,
      [alive = std::weak_ptr<bool>(alive_), opened = std::move(opened)](Result<os::UniqueFd> found) {
        if (!alive.expired()) opened(std::move(found));
      });
}

Storage::FetchId LocalFs::read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into,
                               Done done) {
  FetchId id = next_id_++;
  auto read = std::make_shared<Read>();
  read->path = path_of(blob_id);
  read->offset = offset;
  read->into = into;
  read->done = std::move(done);
  reads_.emplace(id, read);
  counters_.requests++;
  open(blob_id, [this, id](Result<os::UniqueFd> fd) { begin(id, std::move(fd)); });
  return id;
}

void LocalFs::begin(FetchId id, Result<os::UniqueFd> fd) {
  Read& read = *reads_[id];
  if (fd && !read.into.empty()) {
    read.fd = std::move(*fd);
    return step(id);
  }
  Result<void> result = fd ? Result<void>() : Result<void>(std::move(fd).error());
  later([this, id, result = std::move(result)]() mutable { finish(id, std::move(result)); });
}

void LocalFs::step(FetchId id) {
  Shared read = reads_[id];
  // The read is held by its own callback: descriptor and state live as long as the operation.
  loop_.read(read->fd.get(), read->offset + read->got, read->into.subspan(read->got),
             [this, id, read, alive = std::weak_ptr<bool>(alive_)](int32_t result) {
               if (!alive.expired()) arrived(id, result);
             });
}

Error too_short(const Read& read) {
  Result<struct stat> status = os::stat_of(read.fd.get(), read.path);
  if (!status) return std::move(status).error();
  return make_error(Code::corrupt, fmt::format("{}: ends at byte {}; wanted {} bytes at {}", read.path,
                                               status->st_size, read.into.size(), read.offset));
}

void LocalFs::arrived(FetchId id, int32_t result) {
  Read& read = *reads_[id];
  if (read.cancelled) return finish(id, make_error(Code::cancelled, read.path + ": read cancelled"));
  if (result == -EINTR || result == -EAGAIN) return step(id);
  if (result < 0) {
    std::string what = fmt::format("{}: {} bytes at {}", read.path, read.into.size(), read.offset);
    return finish(id, errno_error(what, -result));
  }
  if (result == 0) return finish(id, too_short(read));
  read.got += static_cast<size_t>(result);
  counters_.bytes += static_cast<uint64_t>(result);
  if (read.got < read.into.size()) return step(id);
  finish(id, {});
}

void LocalFs::finish(FetchId id, Result<void> result) {
  auto found = reads_.find(id);
  if (found == reads_.end()) return;
  Done done = std::move(found->second->done);
  reads_.erase(found);
  if (!result) counters_.failures++;
  done(std::move(result));
}

void LocalFs::cancel(FetchId id) {
  if (auto found = reads_.find(id); found != reads_.end()) found->second->cancelled = true;
}

void LocalFs::size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) {
  open(blob_id, [this, path = path_of(blob_id), done = std::move(done)](Result<os::UniqueFd> fd) {
    auto status = fd ? os::stat_of(fd->get(), path) : Result<struct stat>(std::move(fd).error());
    auto size = status ? Result<uint64_t>(static_cast<uint64_t>(status->st_size))
                       : Result<uint64_t>(std::move(status).error());
    later([done, size = std::move(size)]() mutable { done(std::move(size)); });
  });
}

}  // namespace

std::unique_ptr<Storage> make_localfs(Loop& loop, std::string directory, StorageCounters& counters,
                                      OpenElsewhere open_elsewhere) {
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  return std::make_unique<LocalFs>(loop, std::move(directory), counters, std::move(open_elsewhere));
}

}  // namespace fscached
