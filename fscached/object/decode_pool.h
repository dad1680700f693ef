// Threads that decompress and hash: the only work off the loop.
#pragma once

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
  DecodePool(Loop& loop, size_t threads) : loop_(loop), contexts_(threads), pool_(threads) {}

  // Runs `work` on a thread, then `done` with what it returned on the loop.
  template <typename T>
  void run(std::function<T(Context&)> work, std::function<void(T)> done) {
    pool_.submit([this, work = std::move(work), done = std::move(done)](size_t worker) {
      auto result = std::make_shared<T>(work(contexts_[worker]));
      loop_.post([result, done] { done(std::move(*result)); });
    });
  }

 private:
  Loop& loop_;
  std::vector<Context> contexts_;
  WorkerPool pool_;  // last: its threads use the contexts
};

}  // namespace fscached
