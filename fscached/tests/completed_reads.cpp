#include "fscached/tests/completed_reads.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "fscached/kernel/cachefiles_abi.h"

namespace fscached {

namespace {

CompletedReads::Told listener;

}  // namespace

CompletedReads::CompletedReads(Told told) { listener = std::move(told); }
CompletedReads::~CompletedReads() { listener = nullptr; }

}  // namespace fscached

// Stands before the C library's.
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  unsigned long argument = va_arg(arguments, unsigned long);
  va_end(arguments);
  if (request != fscached::abi::kReadComplete || !fscached::listener)
    return static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
  int error = fscached::listener(fd, static_cast<uint32_t>(argument));
  errno = error;
  return error ? -1 : 0;
}
