// An HTTP server in the test's process that answers as scripted, lies included.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "erofs-format/base/os.h"

namespace fscached {

using namespace erofs_format;

struct FakeRequest {
  size_t number = 0;  // 0, 1, 2, … over all connections
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string raw;
  std::string body;  // what was waited for

  std::string header(const std::string& name) const {
    auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  // Of "Range: bytes=A-B".
  std::optional<std::pair<uint64_t, uint64_t>> range() const;
};

struct FakeReply {
  enum class End { keep, close, reset, stall, trickle };
  std::string bytes;  // exactly what is sent
  End end = End::keep;
};

class FakeOrigin {
 public:
  using Script = std::function<FakeReply(const FakeRequest&)>;
  // How many bytes of a request's body to wait for before answering; by default all.
  using BodyShare = std::function<size_t(const FakeRequest&, size_t size)>;

  explicit FakeOrigin(Script script, BodyShare share = nullptr);
  ~FakeOrigin();

  uint16_t port() const { return port_; }
  std::string url(const std::string& path) const;
  std::vector<FakeRequest> requests() const;
  size_t connections() const { return accepted_; }

 private:
  void accept_loop();
  void serve(int fd);
  bool take_body(int fd, std::string& pending, FakeRequest& request);
  bool answer(int fd, FakeRequest request);
  bool send_reply(int fd, const FakeReply& reply);
  void wait_for_end(int fd, bool trickle);

  Script script_;
  BodyShare share_;
  os::UniqueFd listener_;
  os::UniqueFd stop_read_, stop_write_;
  uint16_t port_ = 0;
  std::atomic<size_t> accepted_ = 0;
  mutable std::mutex mutex_;
  std::vector<FakeRequest> requests_;
  std::list<std::thread> threads_;
};

// "HTTP/1.1 STATUS X\r\n" + headers + Content-Length + body.
std::string http_reply(int status, const std::string& headers, const std::string& body);
// The right answer to a ranged (or whole) request.
FakeReply honest_reply(const FakeRequest& request, const std::string& content);

}  // namespace fscached
