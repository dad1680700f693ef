// The memory that chunks under way may take. Who finds none waits: readers before
// background work, each in order.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

namespace fscached {

enum class Urgency { reader, background };

class FetchMemory {
 public:
  explicit FetchMemory(uint64_t bytes) : limit_(bytes) {}
  // Runs `start` at once or when memory is free. One fetch larger than the limit runs alone.
  void acquire(uint64_t bytes, Urgency urgency, std::function<void()> start) {
    queue(urgency).push_back({bytes, std::move(start)});
    serve();
  }
  void release(uint64_t bytes) {
    used_ -= bytes;
    serve();
  }
  uint64_t used() const { return used_; }
  size_t waiting() const { return readers_.size() + background_.size(); }

 private:
  struct Waiting {
    uint64_t bytes;
    std::function<void()> start;
  };
  std::deque<Waiting>& queue(Urgency urgency) { return urgency == Urgency::reader ? readers_ : background_; }
  void serve() {
    if (serving_) return;
    serving_ = true;
    for (;;) {
      std::deque<Waiting>& next = readers_.empty() ? background_ : readers_;
      if (next.empty() || (used_ > 0 && used_ + next.front().bytes > limit_)) break;
      Waiting waiting = std::move(next.front());
      next.pop_front();
      used_ += waiting.bytes;
      waiting.start();
    }
    serving_ = false;
  }
  uint64_t limit_;
  uint64_t used_ = 0;
  bool serving_ = false;
  std::deque<Waiting> readers_;
  std::deque<Waiting> background_;
};

}  // namespace fscached
