// Writes and hashes on threads of their own, so that whoever makes the bytes does not wait for
// either. Never seeks.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"

namespace erofs_format {

class StreamWriter {
 public:
  // Writes to `fd` (borrowed, at its beginning); `name` is for messages.
  StreamWriter(int fd, std::string name);
  // What was not drained may not be written.
  ~StreamWriter();
  StreamWriter(const StreamWriter&) = delete;
  StreamWriter& operator=(const StreamWriter&) = delete;

  // Takes the bytes; waits while too many are unwritten. An error may be of bytes taken before.
  Result<void> write(ByteView bytes);
  // Everything taken is written when it returns.
  Result<void> drain();
  // SHA-256 of everything taken; only right after drain().
  Digest digest() const { return hash_.digest(); }

 private:
  void run(size_t& stage);
  Result<void> handle(const size_t& stage, ByteView bytes);
  void release_done();
  void begin_writeback();
  Result<void> hand_over();

  int fd_;
  std::string name_;
  Sha256 hash_;
  uint64_t written_size_ = 0;
  uint64_t writeback_begun_ = 0;
  Buffer filling_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Buffer> waiting_;  // those that are not both hashed and written
  size_t waiting_size_ = 0;     // their bytes
  std::deque<Buffer> free_;
  Result<void> result_;
  bool stopping_ = false;
  // Buffers so far: through with, hashed, written.
  size_t done_ = 0;
  size_t hashed_ = 0;
  size_t written_ = 0;
  std::thread hasher_;
  std::thread writer_;
};

}  // namespace erofs_format
