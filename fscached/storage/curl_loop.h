// The transport of the daemon: libcurl's sockets and timers on the event loop, one poll a socket.
#pragma once

#include "erofs-format/registry/transport.h"
#include "fscached/loop.h"

namespace fscached {

class CurlLoop final : public registry::Transport {
 public:
  static Result<std::unique_ptr<CurlLoop>> create(Loop& loop);
  ~CurlLoop() override;

  TimerId after_ms(uint64_t milliseconds, std::function<void()> fired) override {
    return loop_.after_ms(milliseconds, [fired = std::move(fired)](int32_t) { fired(); });
  }
  void cancel_timer(TimerId id) override { loop_.cancel(id); }
  uint64_t now_ms() const override { return loop_.now_ns() / 1'000'000; }

 private:
  struct Watch {
    uint32_t events = 0;
    Loop::Id poll = 0;
  };
  CurlLoop(Loop& loop, CURLM* multi) : Transport(multi), loop_(loop) {}
  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*);
  static int on_timer(CURLM*, long timeout_ms, void* self);
  void arm(curl_socket_t fd);
  void ready(curl_socket_t fd, int32_t mask);
  bool act(curl_socket_t fd, int mask);

  Loop& loop_;
  Loop::Id timer_ = 0;
  std::unordered_map<curl_socket_t, Watch> watches_;
};

}  // namespace fscached
