// Threads that decompress and hash: the only work off the loop.
#pragma once

#include <algorithm>

#include "erofs-format/base/worker_pool.h"
#include "erofs-format/blob/blob_reader.h"
#include "fscached/loop.h"

namespace fscached {

class DecodePool {
 public:
  struct Context {
    Decoder decoder;
    Buffer scratch;
  };
  // Without threads, work is a task of the loop's own: what a simulation can repeat.
  DecodePool(Loop& loop, size_t threads)
      : loop_(loop), contexts_(std::max<size_t>(threads, 1)), pool_(threads) {}

  // Runs `work` on a thread, then `done` with what it returned on the loop.
  template <typename T>
  void run(std::function<T(Context&)> work, std::function<void(T)> done) {
    auto job = [this, work = std::move(work), done = std::move(done)](size_t worker) {
      auto result = std::make_shared<T>(work(contexts_[worker]));
      loop_.post([result, done] { done(std::move(*result)); });
    };
    if (pool_.size() > 0) return pool_.submit(std::move(job));
    loop_.post([job = std::move(job)] { job(0); });
  }

 private:
  Loop& loop_;
  std::vector<Context> contexts_;
  WorkerPool pool_;  // last: its threads use the contexts
};

}  // namespace fscached
