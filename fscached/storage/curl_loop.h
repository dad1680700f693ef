// libcurl's multi interface driven by the event loop: one poll a socket, one timer.
#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fscached/loop.h"

namespace fscached {

class CurlLoop {
 public:
  using Done = std::function<void(CURLcode)>;

  static Result<std::unique_ptr<CurlLoop>> create(Loop& loop);
  // Every handle has been stopped and released.
  ~CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  // A handle without options; given back by release() when it is not running. Null: out of memory.
  CURL* acquire();
  void release(CURL* easy);

  // `done` runs on the loop, never inside start(); it may start, stop and release.
  Result<void> start(CURL* easy, Done done);
  // Ends a transfer under way: its `done` does not run.
  void stop(CURL* easy);

 private:
  struct Watch {
    uint32_t events = 0;
    Loop::Id poll = 0;
  };
  CurlLoop(Loop& loop, CURLM* multi) : loop_(loop), multi_(multi) {}
  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*);
  static int on_timer(CURLM*, long timeout_ms, void* self);
  void arm(curl_socket_t fd);
  void ready(curl_socket_t fd, int32_t mask);
  void act(curl_socket_t fd, int mask);
  void take_finished();

  Loop& loop_;
  CURLM* multi_;
  Loop::Id timer_ = 0;
  std::unordered_map<curl_socket_t, Watch> watches_;
  std::unordered_map<CURL*, Done> running_;
  std::vector<CURL*> idle_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fscached
