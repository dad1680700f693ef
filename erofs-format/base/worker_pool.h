// A fixed set of threads that run jobs in the order they were given.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace erofs_format {

class WorkerPool {
 public:
  // A job learns which worker runs it (0 … threads-1), to use that worker's contexts.
  using Job = std::function<void(size_t worker)>;

  explicit WorkerPool(size_t threads);
  // Runs what was submitted, then joins.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  size_t size() const { return threads_.size(); }
  void submit(Job job);

 private:
  void run(size_t worker);
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace erofs_format
