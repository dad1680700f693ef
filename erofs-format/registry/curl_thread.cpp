#include "erofs-format/registry/curl_thread.h"

#include <algorithm>
#include <chrono>

namespace erofs_format::registry {

namespace {

constexpr uint64_t kLongestPauseMs = 1000;

}  // namespace

Result<std::unique_ptr<CurlThread>> CurlThread::create() {
  TRY_ASSIGN(CURLM * multi, make_multi());
  std::unique_ptr<CurlThread> self(new CurlThread(multi));
  self->thread_ = std::thread([loop = self.get()] { loop->loop(); });
  return self;
}

CurlThread::~CurlThread() {
  post([this] { stopping_ = true; });
  thread_.join();
  close();
}

void CurlThread::post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  curl_multi_wakeup(multi());
}

void CurlThread::run(const std::function<void()>& task) {
  wait<bool>([&](const std::function<void(bool)>& done) {
    task();
    done(true);
  });
}

uint64_t CurlThread::now_ms() const {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

Transport::TimerId CurlThread::after_ms(uint64_t milliseconds, std::function<void()> fired) {
  TimerId id = next_timer_++;
  timers_.emplace(now_ms() + milliseconds, Timer{id, std::move(fired)});
  return id;
}

void CurlThread::cancel_timer(TimerId id) {
  auto found =
      std::find_if(timers_.begin(), timers_.end(), [id](const auto& timer) { return timer.second.id == id; });
  if (found != timers_.end()) timers_.erase(found);
}

void CurlThread::loop() {
  while (!stopping_) {
    run_timers();
    bool worked = run_tasks();
    int running = 0;
    curl_multi_perform(multi(), &running);
    take_finished();
    if (!worked) curl_multi_poll(multi(), nullptr, 0, pause_ms(), nullptr);
  }
}

// Whether there were any.
bool CurlThread::run_tasks() {
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks) task();
  return !tasks.empty();
}

// Those that are due now; what they start is for the next round.
void CurlThread::run_timers() {
  uint64_t now = now_ms();
  TimerId newest = next_timer_;
  for (auto timer = timers_.begin(); timer != timers_.end() && timer->first <= now; timer = timers_.begin()) {
    if (timer->second.id >= newest) break;
    auto due = timers_.extract(timer);
    due.mapped().fired();
  }
}

int CurlThread::pause_ms() const {
  if (timers_.empty()) return kLongestPauseMs;
  uint64_t now = now_ms(), first = timers_.begin()->first;
  return static_cast<int>(first <= now ? 0 : std::min(first - now, kLongestPauseMs));
}

}  // namespace erofs_format::registry
