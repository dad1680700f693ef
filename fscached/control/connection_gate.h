// Who may come in at the control socket, and how many are there.
#pragma once

#include <sys/socket.h>

#include <mutex>

#include "erofs-format/base/os.h"
#include "fscached/limits.h"

namespace fscached {

// Used by many threads.
class ConnectionGate {
 public:
  enum class Verdict { came, nobody, full, closed };

  // One client that waits at the listener, which does not block. `came`: it counts until leave().
  Verdict let_in(int listener, erofs_format::os::UniqueFd& client) {
    std::lock_guard lock(mutex_);
    if (closed_) return Verdict::closed;
    client.reset(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.valid()) return Verdict::nobody;
    if (inside_ == kMaxControlConnections) return Verdict::full;
    inside_++;
    return Verdict::came;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    inside_--;
  }
  // Nobody comes in any more: who waits, waits for a successor.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  unsigned inside() const {
    std::lock_guard lock(mutex_);
    return inside_;
  }

 private:
  mutable std::mutex mutex_;
  bool closed_ = false;
  unsigned inside_ = 0;
};

}  // namespace fscached
