#include "fscached/kernel/local_cookie.h"

#include <algorithm>

namespace fscached {

namespace {

constexpr uint64_t kStepBytes = 1 << 20;

}  // namespace

void LocalCookie::fill(Extent range, Filled filled) {
  uint64_t end =
      std::min(align_up(range.offset + range.size, kPageSize), align_up(cookie_->size(), kPageSize));
  uint64_t start = range.offset / kPageSize * kPageSize;
  if (start >= end) return filled({});
  Extent rest = {start, end - start};
  next(std::make_shared<Step>(Step{rest, Pages(std::min(rest.size, kStepBytes)), 0, std::move(filled)}));
}

void LocalCookie::next(const std::shared_ptr<Step>& step) {
  if (step->rest.size == 0) return step->filled({});
  step->done = 0;
  read(step);
}

// The last page is zero behind the end of the file.
void LocalCookie::read(const std::shared_ptr<Step>& step) {
  size_t size = std::min<uint64_t>(step->pages.size(), step->rest.size);
  uint64_t at = step->rest.offset + step->done;
  size_t wanted = std::min<uint64_t>(size - step->done, at < cookie_->size() ? cookie_->size() - at : 0);
  if (wanted == 0) {
    MutableBytes tail = step->pages.bytes().subspan(step->done);
    std::fill(tail.begin(), tail.end(), uint8_t{0});
    step->done = 0;
    return write(step);
  }
  auto self = shared_from_this();
  loop_.read(source_.get(), at, step->pages.bytes().subspan(step->done, wanted),
             [self, step](int32_t result) {
               if (result <= 0) return step->filled(errno_error("kept bootstrap", result ? -result : EIO));
               step->done += static_cast<size_t>(result);
               self->read(step);
             });
}

void LocalCookie::write(const std::shared_ptr<Step>& step) {
  size_t size = std::min<uint64_t>(step->pages.size(), step->rest.size);
  if (step->done >= size) {
    step->rest = {step->rest.offset + size, step->rest.size - size};
    return next(step);
  }
  auto self = shared_from_this();
  ByteView rest = step->pages.bytes().subspan(step->done, size - step->done);
  cookie_->write(step->rest.offset + step->done, rest, [self, step](int32_t result) {
    if (result <= 0) return step->filled(errno_error("cache file of a bootstrap", result ? -result : ENOSPC));
    step->done += static_cast<size_t>(result);
    self->write(step);
  });
}

}  // namespace fscached
