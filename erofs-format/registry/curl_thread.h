// A transport for programs without an event loop: one thread does all transfers, others wait.
#pragma once

#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "erofs-format/registry/transport.h"

namespace erofs_format::registry {

class CurlThread final : public Transport {
 public:
  static Result<std::unique_ptr<CurlThread>> create();
  // Everything that transfers has ended.
  ~CurlThread() override;

  // Runs `task` on the thread soon. Any thread may call it.
  void post(std::function<void()> task);
  // Runs `task` on the thread and waits for it.
  void run(const std::function<void()>& task);
  // Runs `start` on the thread and waits until what it was given is called, on the thread, with the answer.
  template <typename T>
  T wait(const std::function<void(std::function<void(T)>)>& start);

  // On the thread only.
  TimerId after_ms(uint64_t milliseconds, std::function<void()> fired) override;
  void cancel_timer(TimerId id) override;
  uint64_t now_ms() const override;

 private:
  explicit CurlThread(CURLM* multi) : Transport(multi) {}
  void loop();
  bool run_tasks();
  void run_timers();
  int pause_ms() const;

  struct Timer {
    TimerId id = 0;
    std::function<void()> fired;
  };
  std::multimap<uint64_t, Timer> timers_;  // by the time they fire
  TimerId next_timer_ = 1;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

template <typename T>
T CurlThread::wait(const std::function<void(std::function<void(T)>)>& start) {
  auto answer = std::make_shared<std::promise<T>>();
  std::future<T> future = answer->get_future();
  post([&start, answer] { start([answer](T value) { answer->set_value(std::move(value)); }); });
  return future.get();
}

}  // namespace erofs_format::registry
