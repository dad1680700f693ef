// A thread that reads into a ring of buffers; the user drains them in order.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "erofs-format/base/stream.h"

namespace erofs_format {

namespace {

class ReadAheadSource : public ByteSource {
 public:
  ReadAheadSource(std::unique_ptr<ByteSource> source, size_t buffer_size, size_t depth)
      : source_(std::move(source)), slots_(std::max<size_t>(depth, 1)) {
    for (auto& slot : slots_) slot.bytes.resize(std::max<size_t>(buffer_size, 1));
    thread_ = std::thread([this] { run(); });
  }
  ReadAheadSource(const ReadAheadSource&) = delete;
  ReadAheadSource& operator=(const ReadAheadSource&) = delete;

  // Waits for the one read that may be under way.
  ~ReadAheadSource() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Result<size_t> read(MutableBytes into) override {
    if (into.empty()) return size_t{0};
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return filled_ > 0 || ended_; });
      if (filled_ == 0) {
        if (error_) return *error_;
        return size_t{0};
      }
    }
    // A filled slot belongs to the user until it is released.
    Slot& slot = slots_[first_];
    size_t n = std::min(into.size(), slot.size - taken_);
    std::copy_n(slot.bytes.data() + taken_, n, into.data());
    taken_ += n;
    if (taken_ == slot.size) release_slot();
    return n;
  }

 private:
  struct Slot {
    Buffer bytes;
    size_t size = 0;
  };

  void release_slot() {
    taken_ = 0;
    {
      std::lock_guard lock(mutex_);
      first_ = (first_ + 1) % slots_.size();
      filled_--;
    }
    changed_.notify_all();
  }

  void run() {
    for (size_t next = 0; wait_for_room(); next = (next + 1) % slots_.size()) {
      auto size = fill(slots_[next]);
      bool more = size && *size > 0;
      {
        std::lock_guard lock(mutex_);
        if (slots_[next].size > 0) filled_++;
        ended_ = !more;
        if (!size) error_ = std::move(size).error();
      }
      changed_.notify_all();
      if (!more) return;
    }
  }

  // False when the user is gone.
  bool wait_for_room() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopping_ || filled_ < slots_.size(); });
    return !stopping_;
  }

  // Fills the slot whole if it can, as small pieces would cost a wake-up each; the
  // result is that of the last read: 0 or an error end the stream after this slot.
  Result<size_t> fill(Slot& slot) {
    slot.size = 0;
    Result<size_t> n = size_t{0};
    do {
      n = source_->read(MutableBytes(slot.bytes).subspan(slot.size));
      if (n) slot.size += *n;
    } while (n && *n > 0 && slot.size < slot.bytes.size());
    return n;
  }

  std::unique_ptr<ByteSource> source_;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t first_ = 0;   // oldest filled slot; written by the user only
  size_t filled_ = 0;  // how many from first_ on
  size_t taken_ = 0;   // of the first slot; the user's own
  bool ended_ = false;
  bool stopping_ = false;
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<ByteSource> make_read_ahead_source(std::unique_ptr<ByteSource> source, size_t buffer_size,
                                                   size_t depth) {
  return std::make_unique<ReadAheadSource>(std::move(source), buffer_size, depth);
}

}  // namespace erofs_format
