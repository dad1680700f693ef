#include "erofs-format/blob/stream_writer.h"

#include "erofs-format/base/os.h"

namespace erofs_format {

namespace {

// Bytes gathered for one system call; a larger piece makes a larger buffer.
constexpr size_t kBufferSize = size_t{256} << 10;
// Buffers that wait for the thread, the one it is writing among them.
constexpr size_t kMaxWaiting = 4;
// The disk is set to work on this much at a time.
constexpr uint64_t kWritebackStep = uint64_t{8} << 20;

}  // namespace

StreamWriter::StreamWriter(int fd, std::string name)
    : fd_(fd), name_(std::move(name)), thread_([this] { run(); }) {}

StreamWriter::~StreamWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<void> StreamWriter::write(ByteView bytes) {
  filling_.insert(filling_.end(), bytes.begin(), bytes.end());
  return filling_.size() < kBufferSize ? Result<void>() : hand_over();
}

Result<void> StreamWriter::drain() {
  TRY(hand_over());
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty() || !result_; });
  return result_;
}

Result<void> StreamWriter::hand_over() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() < kMaxWaiting || !result_; });
    if (!result_) return result_;
    if (filling_.empty()) return {};
    waiting_.push_back(std::move(filling_));
    filling_ = Buffer();
    if (!free_.empty()) {
      filling_ = std::move(free_.front());
      free_.pop_front();
    }
  }
  changed_.notify_all();
  return {};
}

void StreamWriter::begin_writeback() {
  uint64_t end = written_ / kWritebackStep * kWritebackStep;
  if (end > writeback_begun_) os::begin_writeback(fd_, writeback_begun_, end - writeback_begun_);
  writeback_begun_ = end;
}

void StreamWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    // References into a deque stay good while others push to its end.
    Buffer& buffer = waiting_.front();
    lock.unlock();
    hash_.update(buffer);
    auto result = os::write_all(fd_, buffer, name_);
    written_ += buffer.size();
    begin_writeback();
    buffer.clear();
    lock.lock();
    if (!result) result_ = std::move(result);
    free_.push_back(std::move(buffer));
    waiting_.pop_front();
    changed_.notify_all();
    if (!result_) return;
  }
}

}  // namespace erofs_format
