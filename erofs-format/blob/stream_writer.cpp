#include "erofs-format/blob/stream_writer.h"

#include <algorithm>

#include "erofs-format/base/os.h"

namespace erofs_format {

namespace {

// Bytes gathered for one system call; a piece that is larger makes a buffer that is.
constexpr size_t kBufferSize = size_t{256} << 10;
// What is larger still is copied piece by piece, so that it is not in memory twice.
constexpr size_t kMaxPiece = size_t{1} << 20;
// Bytes that wait for the threads, those at work among them.
constexpr size_t kMaxWaiting = size_t{4} << 20;
// The disk is set to work on this much at a time.
constexpr uint64_t kWritebackStep = uint64_t{8} << 20;

}  // namespace

StreamWriter::StreamWriter(int fd, std::string name)
    : fd_(fd),
      name_(std::move(name)),
      hasher_([this] { run(hashed_); }),
      writer_([this] { run(written_); }) {}

StreamWriter::~StreamWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  hasher_.join();
  writer_.join();
}

Result<void> StreamWriter::write(ByteView bytes) {
  while (!bytes.empty()) {
    ByteView piece = bytes.first(std::min(bytes.size(), kMaxPiece));
    bytes = bytes.subspan(piece.size());
    filling_.insert(filling_.end(), piece.begin(), piece.end());
    if (filling_.size() >= kBufferSize) TRY(hand_over());
  }
  return {};
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
    auto fits = [&] { return waiting_.empty() || waiting_size_ + filling_.size() <= kMaxWaiting; };
    changed_.wait(lock, [&] { return fits() || !result_; });
    if (!result_) return result_;
    if (filling_.empty()) return {};
    waiting_size_ += filling_.size();
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
  uint64_t end = written_size_ / kWritebackStep * kWritebackStep;
  if (end > writeback_begun_) os::begin_writeback(fd_, writeback_begun_, end - writeback_begun_);
  writeback_begun_ = end;
}

Result<void> StreamWriter::handle(const size_t& stage, ByteView bytes) {
  if (&stage == &hashed_) {
    hash_.update(bytes);
    return {};
  }
  TRY(os::write_all(fd_, bytes, name_));
  written_size_ += bytes.size();
  begin_writeback();
  return {};
}

// Either thread goes through all buffers, each at its own pace.
void StreamWriter::run(size_t& stage) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !result_ || stage < done_ + waiting_.size(); });
    if (stopping_ || !result_) return;
    // References into a deque stay good while others push to its end.
    const Buffer& buffer = waiting_[stage - done_];
    lock.unlock();
    auto result = handle(stage, buffer);
    lock.lock();
    if (!result) result_ = std::move(result);
    stage++;
    release_done();
    changed_.notify_all();
  }
}

void StreamWriter::release_done() {
  for (; done_ < std::min(hashed_, written_); done_++) {
    waiting_size_ -= waiting_.front().size();
    waiting_.front().clear();
    free_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

}  // namespace erofs_format
