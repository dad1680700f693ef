// libcurl's transfers, and timers, on an event loop that the program owns. Everything that talks to a server
// is written against this: fscached puts its ring beneath (`fscached/storage/curl_loop`), mkfs a thread
// (`curl_thread`).
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "erofs-format/base/result.h"

namespace erofs_format::registry {

class Transport {
 public:
  using Done = std::function<void(CURLcode)>;
  using TimerId = uint64_t;  // 0 = none

  // Every handle has been stopped and released.
  virtual ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // A handle without options; given back by release() when it is not running. Null: out of memory.
  CURL* acquire();
  void release(CURL* easy);

  // `done` runs on the loop, never inside start(); it may start, stop and release.
  Result<void> start(CURL* easy, Done done);
  // Ends a transfer under way: its `done` does not run.
  void stop(CURL* easy);

  // One-shot timer; runs on the loop.
  virtual TimerId after_ms(uint64_t milliseconds, std::function<void()> fired) = 0;
  // After it returns, the timer does not fire any more.
  virtual void cancel_timer(TimerId id) = 0;
  virtual uint64_t now_ms() const = 0;  // monotonic

 protected:
  static Result<CURLM*> make_multi();
  explicit Transport(CURLM* multi) : multi_(multi) {}

  CURLM* multi() const { return multi_; }
  // Calls back for the transfers that have ended. False: a callback has destroyed this object.
  bool take_finished();
  // Closes all connections; to be called by the destructor of whoever watches their sockets.
  void close();

 private:
  CURLM* multi_;
  std::unordered_map<CURL*, Done> running_;
  std::vector<CURL*> idle_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace erofs_format::registry
