// HTTP/1.1 as far as nydusd's API speaks it: requests from bytes, answers to bytes. Pure.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

struct HttpRequest {
  std::string method;                        // "GET", "PUT", "POST", "DELETE", …
  std::string path;                          // decoded, without the query
  std::map<std::string, std::string> query;  // decoded
  std::string body;
  bool keep_alive = true;

  // Absent is empty.
  std::string parameter(const std::string& name) const;
};

struct HttpResponse {
  int status = 204;
  std::string body;  // JSON; none with 204
};

// The bytes of an answer. Of one to HEAD or after which the connection ends the head says so.
std::string to_bytes(const HttpResponse& response, bool keep_alive);

// One connection's requests, one after the other.
class HttpRequestReader {
 public:
  HttpRequestReader();
  ~HttpRequestReader();

  // Takes what came. A request is complete when this returns one; what stood behind it is kept, and a
  // further call, with nothing, looks at that. An error ends the connection: its sys_errno is unused, its
  // code is too_large for what passes kMaxApiHeadBytes or kMaxApiBodyBytes, else corrupt.
  Result<std::optional<HttpRequest>> take(ByteView bytes);
  // A client waits for leave to send its body ("Expect: 100-continue"). Once for each request.
  bool wants_continue();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "a=b&c=%2f", and the same with + for spaces.
Result<std::map<std::string, std::string>> parse_query(std::string_view text);

}  // namespace fscached
