#include "fscached/kernel/cookie.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "erofs-format/base/log.h"
#include "fscached/kernel/cachefiles_abi.h"

namespace fscached {

void Cookie::opened(os::UniqueFd descriptor) {
  descriptor_ = std::make_shared<os::UniqueFd>(std::move(descriptor));
  takes_writes_ = false;
}

void Cookie::closed() { descriptor_.reset(); }

Result<std::vector<Extent>> Cookie::on_read(Extent range) {
  if (!descriptor_) return make_error(Code::internal, name_.cookie + ": read, but not open");
  takes_writes_ = true;
  return data_extents(descriptor_->get(), range);
}

Result<void> Cookie::complete(uint32_t request) {
  // Closed meanwhile: the kernel let its readers go itself.
  if (!descriptor_) return {};
  if (ioctl(descriptor_->get(), abi::kReadComplete, static_cast<unsigned long>(request)) == 0) return {};
  // EINVAL: the reader was killed.
  if (errno == EINVAL) return {};
  return errno_error(name_.cookie + ": completing a read");
}

Result<Cookie::SharedFd> Cookie::linked_file() {
  if (!linked_) {
    TRY_ASSIGN(os::UniqueFd file, directory_.open(name_, O_RDWR | O_DIRECT));
    linked_ = std::make_shared<os::UniqueFd>(std::move(file));
  }
  return linked_;
}

void Cookie::write(uint64_t offset, ByteView pages, Loop::Done done) {
  SharedFd through = descriptor_;
  if (!through || !takes_writes_) {
    auto file = linked_file();
    if (!file) {
      int error = file.error().sys_errno;
      return loop_.post([done = std::move(done), error] { done(-error); });
    }
    through = *file;
  }
  loop_.write(through->get(), offset, pages,
              [through, done = std::move(done)](int32_t result) { done(result); });
}

void Cookie::sync(Loop::Done done) {
  auto file = linked_file();
  if (!file) {
    int error = file.error().sys_errno;
    return loop_.post([done = std::move(done), error] { done(-error); });
  }
  SharedFd through = *file;
  loop_.fdatasync(through->get(), [through, done = std::move(done)](int32_t result) { done(result); });
}

Result<void> Cookie::read(uint64_t offset, MutableBytes into) const {
  TRY_ASSIGN(os::UniqueFd file, directory_.open(name_, O_RDONLY));
  return os::pread_exact(file.get(), offset, into, directory_.path_of(name_));
}

void Cookie::drop_cached(Extent range) {
  if (auto file = linked_file())
    posix_fadvise((*file)->get(), static_cast<off_t>(range.offset), static_cast<off_t>(range.size),
                  POSIX_FADV_DONTNEED);
}

// The kernel serves every byte that is there: a hole is the only way to say that it is not.
void Cookie::discard(Extent range) {
  auto file = linked_file();
  auto discarded = file ? make_hole((*file)->get(), range) : Result<void>(std::move(file).error());
  if (!discarded)
    log_line(LogLevel::error, "cachefiles",
             std::move(discarded)
                 .error()
                 .within(name_.cookie + ": wrong data cannot be taken out of the cache")
                 .message);
}

}  // namespace fscached
