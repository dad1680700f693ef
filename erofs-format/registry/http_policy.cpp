#include "erofs-format/registry/http_policy.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "erofs-format/base/bytes.h"
#include "erofs-format/registry/limits.h"

namespace erofs_format::registry {
namespace {

std::optional<Reach> reach_of_socket_address(const curl_sockaddr& address) {
  if (address.family == AF_INET)
    return reach_of(reinterpret_cast<const sockaddr_in*>(&address.addr)->sin_addr);
  if (address.family == AF_INET6)
    return reach_of(reinterpret_cast<const sockaddr_in6*>(&address.addr)->sin6_addr);
  return std::nullopt;
}

// Whether `reach` is allowed; says why not in hooks.refused.
bool allowed(TransferHooks& hooks, Reach reach) {
  if (!hooks.sent_from || may_lead(*hooks.sent_from, reach)) return true;
  hooks.refused = fmt::format("redirect refused: the name resolves to a {} address", to_string(reach));
  return false;
}

// Before connecting: the last moment at which a name's real address can be judged.
curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& hooks = *static_cast<TransferHooks*>(user);
  std::optional<Reach> reach = reach_of_socket_address(*address);
  if (!reach || !allowed(hooks, *reach)) return CURL_SOCKET_BAD;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Before the request is sent, also over a connection that another request opened.
int before_request(void* user, char* peer, char*, int, int) {
  auto& hooks = *static_cast<TransferHooks*>(user);
  hooks.reach = reach_of(std::string_view(peer));
  if (!hooks.reach || !allowed(hooks, *hooks.reach)) return CURL_PREREQFUNC_ABORT;
  hooks.refused.clear();  // another address of the same name was allowed
  return CURL_PREREQFUNC_OK;
}

bool sends_body(Method method) { return method == Method::post || method == Method::put; }

size_t send_body(char* into, size_t size, size_t count, void* user) {
  auto& hooks = *static_cast<TransferHooks*>(user);
  uint64_t left = hooks.body == nullptr ? 0 : hooks.body->size - hooks.sent;
  size_t bytes = static_cast<size_t>(std::min<uint64_t>(left, uint64_t{size} * count));
  if (bytes == 0) return 0;
  Result<void> read = hooks.body->read(hooks.sent, {reinterpret_cast<uint8_t*>(into), bytes});
  if (!read) {
    hooks.unread = std::move(read).error();
    return CURL_READFUNC_ABORT;
  }
  hooks.sent += bytes;
  return bytes;
}

// libcurl sends again from the start what a dead connection has swallowed.
int seek_body(void* user, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  static_cast<TransferHooks*>(user)->sent = static_cast<uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

void set_body(CURL* easy, const HttpRequest& request, TransferHooks& hooks) {
  curl_off_t size = request.body == nullptr ? 0 : static_cast<curl_off_t>(request.body->size);
  hooks.body = request.body;
  if (request.method == Method::head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (!sends_body(request.method)) return;
  // As an upload whatever the method: a body of known size, read through the same function.
  curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, to_string(request.method));
  curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, size);
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_body);
  curl_easy_setopt(easy, CURLOPT_READDATA, &hooks);
  curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
  curl_easy_setopt(easy, CURLOPT_SEEKDATA, &hooks);
}

Result<void> set_headers(CURL* easy, const HttpRequest& request, TransferHooks& hooks) {
  auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(hooks.headers.get(), line.c_str());
    if (longer == nullptr) return false;
    (void)hooks.headers.release();
    hooks.headers.reset(longer);
    return true;
  };
  bool good = add("Accept-Encoding: identity");
  // A body is sent without asking first: who may write is settled when the upload is opened.
  if (sends_body(request.method)) good = good && add("Expect:");
  if (request.body != nullptr) good = good && add("Content-Type: " + request.body->media_type);
  if (!request.accept.empty()) good = good && add("Accept: " + request.accept);
  if (!request.authorization.empty()) good = good && add("Authorization: " + request.authorization);
  if (request.terms != nullptr)
    for (const std::string& header : request.terms->headers) good = good && add(header);
  if (request.range && request.range->size > 0) {
    uint64_t last = request.range->offset + request.range->size - 1;
    good = good && add(fmt::format("Range: bytes={}-{}", request.range->offset, last));
  }
  if (!good) return make_error(Code::internal, "libcurl: out of memory");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, hooks.headers.get());
  return {};
}

// No other protocol, no redirect, no proxy, no cookie, no .netrc, no encoding, no HTTP/0.9.
void set_narrow_protocol(CURL* easy, const HttpOptions& options) {
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
  // HTTP/1.1: the head that is judged is the one that was sent, and one slow transfer holds up no other.
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NETRC, CURL_NETRC_IGNORED);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, static_cast<long>(kReceiveBufferBytes));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options.user_agent.c_str());
}

// Always verified. A CA file is read besides the system's directory of authorities.
void set_tls(CURL* easy, const OriginOptions* terms, const HttpOptions& options) {
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  const std::string& ca = terms != nullptr && !terms->ca_file.empty() ? terms->ca_file : options.ca_file;
  if (!ca.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, ca.c_str());
  if (terms == nullptr || terms->certificate.empty()) return;
  curl_easy_setopt(easy, CURLOPT_SSLCERT, terms->certificate.c_str());
  curl_easy_setopt(easy, CURLOPT_SSLKEY, terms->key.c_str());
}

void set_times(CURL* easy, const HttpRequest& request, const HttpOptions& options) {
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_ms));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<uint64_t>(request.timeout_ms, 1)));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kMinBytesPerSecond);
  // A server may take its time to store what it was sent.
  uint64_t stall_s = options.stall_timeout_s * (sends_body(request.method) ? kUploadPatience : 1);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall_s));
}

void set_hooks(CURL* easy, TransferHooks& hooks) {
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, hooks.on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, hooks.user);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, hooks.on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, hooks.user);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &hooks);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, &hooks);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, hooks.message);
}

bool is_retryable(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR: return true;
    default: return false;
  }
}

}  // namespace

const char* to_string(Method method) {
  switch (method) {
    case Method::get: return "GET";
    case Method::head: return "HEAD";
    case Method::post: return "POST";
    case Method::put: return "PUT";
  }
  return "?";
}

Result<void> apply_http_policy(CURL* easy, const HttpRequest& request, const HttpOptions& options,
                               TransferHooks& hooks) {
  hooks.sent_from = request.sent_from;
  curl_easy_setopt(easy, CURLOPT_URL, request.url.text.c_str());
  set_narrow_protocol(easy, options);
  set_tls(easy, request.terms, options);
  set_times(easy, request, options);
  set_body(easy, request, hooks);
  set_hooks(easy, hooks);
  return set_headers(easy, request, hooks);
}

TransferFailure describe_failure(CURLcode code, const TransferHooks& hooks) {
  if (hooks.unread) return {hooks.unread->code, false, hooks.unread->message};
  if (!hooks.refused.empty()) return {Code::network, false, hooks.refused};
  // libcurl keeps heads below a limit of its own and reports the excess as lack of memory.
  if (code == CURLE_OUT_OF_MEMORY) return {Code::too_large, false, "response head too large (or no memory)"};
  std::string what = hooks.message[0] != '\0' ? hooks.message : curl_easy_strerror(code);
  Code kind = code == CURLE_OPERATION_TIMEDOUT ? Code::timeout : Code::network;
  return {kind, is_retryable(code), printable(what)};
}

}  // namespace erofs_format::registry
