#include "mkfs/tar_input.h"

#include <algorithm>
#include <cstring>

#include "mkfs/tar_limits.h"

namespace mkfs {

TarInput::TarInput(std::unique_ptr<ByteSource> source)
    : source_(std::move(source)), buffer_(kTarBufferSize) {}

Result<bool> TarInput::fill() {
  TRY_ASSIGN(size_t got, source_->read(buffer_));
  begin_ = 0;
  end_ = got;
  return got != 0;
}

size_t TarInput::take(MutableBytes into) {
  size_t size = std::min(into.size(), end_ - begin_);
  std::memcpy(into.data(), buffer_.data() + begin_, size);
  begin_ += size;
  position_ += size;
  return size;
}

Result<size_t> TarInput::read(MutableBytes into) {
  if (begin_ != end_ || into.empty()) return take(into);
  if (into.size() >= buffer_.size() / 2) {
    TRY_ASSIGN(size_t got, source_->read(into));
    position_ += got;
    return got;
  }
  TRY_ASSIGN(bool more, fill());
  return more ? take(into) : 0;
}

Result<size_t> TarInput::read_fully(MutableBytes into) {
  size_t done = 0;
  while (done < into.size()) {
    TRY_ASSIGN(size_t got, read(into.subspan(done)));
    if (got == 0) break;
    done += got;
  }
  return done;
}

Result<uint64_t> TarInput::skip(uint64_t size) {
  uint64_t left = size;
  while (left != 0) {
    if (begin_ == end_) {
      TRY_ASSIGN(uint64_t passed, source_->skip(left));
      position_ += passed;
      left -= passed;
      if (left == 0) break;
      TRY_ASSIGN(bool more, fill());
      if (!more) break;
    }
    size_t step = static_cast<size_t>(std::min<uint64_t>(left, end_ - begin_));
    begin_ += step;
    position_ += step;
    left -= step;
  }
  return size - left;
}

}  // namespace mkfs
