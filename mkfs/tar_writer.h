// A tar stream (ustar with pax records where ustar is too small), written forward only: the output may
// be a FIFO.
#pragma once

#include <string>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

// One member; `path` without leading slash, directories without trailing one.
struct TarOutputMember {
  std::string path;
  std::string link;  // target of a symlink or hard link
  bool hard_link = false;
};

class TarWriter {
 public:
  // Writes to `fd` (borrowed); `name` is for messages.
  TarWriter(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  // Header and pax records of `inode`. Regular files: exactly inode.size bytes of content() follow.
  Result<void> begin(const TarOutputMember& member, const Inode& inode);
  Result<void> content(ByteView bytes);
  // Pads the content of a regular file.
  Result<void> end();
  // Two zero blocks, padded to a record of 10,240 bytes as tar programs do.
  Result<void> finish();

 private:
  Result<void> write(ByteView bytes);
  Result<void> flush();
  Result<void> pad(uint64_t multiple);

  int fd_;
  std::string name_;
  Buffer buffer_;
  uint64_t size_ = 0;
};

}  // namespace mkfs
