// One request and its response: no redirect followed, nothing repeated.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "erofs-format/registry/http_policy.h"
#include "erofs-format/registry/response_head.h"
#include "erofs-format/registry/transport.h"

namespace erofs_format::registry {

struct FetchFailure {
  Error error;
  bool retryable = false;
  std::optional<uint64_t> retry_after_s = {};
};

class Exchange {
 public:
  // The body of a 206 (or of a 200 that is exactly what was asked) goes to `into`, which has the size of the
  // request's range. Without a range, a 200's body of at most `text_limit` bytes is kept as text. What is no
  // GET is accepted with any 2xx.
  Exchange(Transport& transport, HttpRequest request, MutableBytes into, size_t text_limit);
  // Ends it when it is still under way; `done` does not run then.
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // `done` may destroy this object.
  Result<void> start(const HttpOptions& options, std::function<void()> done);

  // After `done`: nothing when a whole response came, whatever its status.
  const std::optional<FetchFailure>& failure() const { return failure_; }
  const ResponseHead& head() const { return head_; }
  // Whether the body is what was asked.
  bool accepted() const { return accepted_; }
  size_t received() const { return received_; }  // bytes put into `into`
  const std::string& text() const { return text_; }
  Reach reach() const { return hooks_.reach.value_or(Reach::network); }
  const HttpRequest& request() const { return request_; }

 private:
  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  bool take_header_line(std::string_view line);
  bool judge_head();
  Result<void> judge_range() const;
  bool take_body(ByteView bytes);
  void finish(CURLcode code);
  bool fail(Error error);

  Transport& transport_;
  HttpRequest request_;
  MutableBytes into_;
  size_t text_limit_;
  CURL* easy_ = nullptr;
  TransferHooks hooks_;
  std::function<void()> done_;

  std::string head_bytes_;
  bool head_complete_ = false;
  ResponseHead head_;
  bool accepted_ = false;
  size_t received_ = 0;
  size_t discarded_ = 0;
  std::string text_;
  std::optional<FetchFailure> failure_;
};

}  // namespace erofs_format::registry
