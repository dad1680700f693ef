// The archive as a stream of bytes with a position: small reads through a buffer, large ones
// straight into the caller's memory.
#pragma once

#include <memory>

#include "erofs-format/base/stream.h"

namespace mkfs {

using namespace erofs_format;

class TarInput {
 public:
  explicit TarInput(std::unique_ptr<ByteSource> source);

  uint64_t position() const { return position_; }
  // Up to into.size() bytes, 0 only at the end.
  Result<size_t> read(MutableBytes into);
  // All of `into`, or what is left before the end of the archive.
  Result<size_t> read_fully(MutableBytes into);
  // Passes over `size` bytes; returns how many there were.
  Result<uint64_t> skip(uint64_t size);

 private:
  Result<bool> fill();
  size_t take(MutableBytes into);

  std::unique_ptr<ByteSource> source_;
  Buffer buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t position_ = 0;
};

}  // namespace mkfs
