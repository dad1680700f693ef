// The not yet inflated side of a stream: one buffer, refilled, that knows its place in the input.
#pragma once

#include <memory>

#include "erofs-format/base/stream.h"

namespace erofs_format {

// Large enough that a read(2) costs nothing beside inflating what it brought.
constexpr size_t kCompressedBufferSize = size_t{1} << 20;

class CompressedInput {
 public:
  explicit CompressedInput(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), buffer_(kCompressedBufferSize) {}

  // Reads until `size` bytes lie in the buffer or the input ends. `size` is small beside the buffer.
  Result<void> ensure(size_t size);
  ByteView bytes() const { return ByteView(buffer_).subspan(begin_, end_ - begin_); }
  void consume(size_t size) { begin_ += size; }
  bool ended() const { return ended_ && begin_ == end_; }
  // Where the next byte lies in the whole input.
  uint64_t offset() const { return base_ + begin_; }

 private:
  std::unique_ptr<ByteSource> source_;
  Buffer buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t base_ = 0;  // of buffer_[0]
  bool ended_ = false;
};

}  // namespace erofs_format
