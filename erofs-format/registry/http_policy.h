// The only place that sets libcurl options. What we never do over HTTP is decided here.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "erofs-format/base/bytes.h"
#include "erofs-format/registry/http_options.h"
#include "erofs-format/registry/reach.h"
#include "erofs-format/registry/url.h"

namespace erofs_format::registry {

struct ByteRange {
  uint64_t offset = 0;
  uint64_t size = 0;
};

enum class Method { get, head, post, put };

const char* to_string(Method method);

// What a request sends. May be asked for again from the start: a connection can break.
struct RequestBody {
  uint64_t size = 0;
  std::string media_type = "application/octet-stream";
  // Fills `into` with the bytes at `offset`.
  std::function<Result<void>(uint64_t offset, MutableBytes into)> read;
};

struct HttpRequest {
  Method method = Method::get;
  Url url;
  std::string authorization;       // a whole header value; empty = none
  std::optional<ByteRange> range;  // none: the whole body
  std::string accept;              // media types; empty = any
  // Of the server that sent us here: where this request may not lead. None: the operator's own words.
  std::optional<Reach> sent_from;
  std::shared_ptr<const RequestBody> body;  // of post and put; none = empty
  const OriginOptions* terms = nullptr;     // of the URL's server, when there are any
  uint64_t timeout_ms = 0;
};

// What libcurl calls, and what it needs to stay alive during a transfer.
struct TransferHooks {
  curl_write_callback on_header = nullptr;
  curl_write_callback on_body = nullptr;
  void* user = nullptr;

  // Filled by apply_http_policy().
  std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers = {nullptr, curl_slist_free_all};
  std::optional<Reach> sent_from;
  std::string refused;         // why an address was refused
  std::optional<Reach> reach;  // of the peer, once connected
  std::shared_ptr<const RequestBody> body;
  uint64_t sent = 0;            // bytes of the body
  std::optional<Error> unread;  // why the body could not be read
  char message[CURL_ERROR_SIZE] = {};
};

// `hooks` must not move while the transfer runs.
Result<void> apply_http_policy(CURL* easy, const HttpRequest& request, const HttpOptions& options,
                               TransferHooks& hooks);

// What a finished transfer's code means.
struct TransferFailure {
  Code code = Code::network;
  bool retryable = false;
  std::string what;
};
TransferFailure describe_failure(CURLcode code, const TransferHooks& hooks);

}  // namespace erofs_format::registry
