// The worker's event loop: one io_uring, one thread, fixed slots. Every callback
// runs on the loop thread and must not block.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

class Loop {
 public:
  // `result`: what the operation returned (>= 0), or -errno.
  using Done = std::function<void(int32_t result)>;
  using Id = uint64_t;  // slot and generation; 0 = none. A finished id is never valid again.

  // `slots`: the most file operations under way at once; further ones wait in a queue. The loop
  // belongs to the thread that calls run() first; it may be made and filled by another one.
  static Result<std::unique_ptr<Loop>> create(unsigned slots);
  virtual ~Loop() = default;

  // Multishot poll: `ready` runs with the poll mask each time until cancel(). It tells of changes
  // (edges), so the callback drains `fd` until EAGAIN.
  virtual Id poll(int fd, uint32_t events, Done ready) = 0;
  // Runs `ready` once, at once when `fd` is ready already: the level-triggered kind, for users
  // that do not drain. Armed again by calling it again.
  virtual Id poll_once(int fd, uint32_t events, Done ready) = 0;
  // One-shot timer.
  virtual Id after_ms(uint64_t milliseconds, Done fired) = 0;
  // File operations; the memory must live until `done` ran. Short results are possible.
  virtual Id read(int fd, uint64_t offset, std::span<uint8_t> into, Done done) = 0;
  virtual Id write(int fd, uint64_t offset, std::span<const uint8_t> bytes, Done done) = 0;
  virtual Id fdatasync(int fd, Done done) = 0;
  // After cancel() returns, the callback of `id` does not run any more (polls and timers);
  // file operations cannot be cancelled: their memory is in use until `done` ran. The
  // descriptor of a cancelled poll may be closed at once.
  virtual void cancel(Id id) = 0;

  // Runs `task` on the loop thread soon. The only member other threads may call.
  virtual void post(std::function<void()> task) = 0;

  // Runs until stop(); may be called again.
  virtual Result<void> run() = 0;
  virtual void stop() = 0;
  virtual uint64_t now_ns() const = 0;  // CLOCK_MONOTONIC
};

}  // namespace fscached
