#include "erofs-format/registry/url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "erofs-format/base/bytes.h"

namespace erofs_format::registry {
namespace {

struct FreeUrl {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, FreeUrl>;

std::string part(const Handle& handle, CURLUPart which, unsigned flags = 0) {
  char* value = nullptr;
  if (curl_url_get(handle.get(), which, &value, flags) != CURLUE_OK || value == nullptr) return {};
  std::string copy = value;
  curl_free(value);
  return copy;
}

Error refuse(std::string_view text, std::string_view why) {
  std::string shown = printable(text.substr(0, std::min<size_t>(text.find('?'), 200)));
  return make_error(Code::invalid_argument, fmt::format("URL '{}': {}", shown, why));
}

Result<void> set_text(const Handle& handle, std::string_view text) {
  if (text.size() > kMaxUrlBytes) return refuse(text, fmt::format("longer than {} bytes", kMaxUrlBytes));
  bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (text.empty() || !plain) return refuse(text, "empty, or holds blanks, control or non-ASCII bytes");
  // Other schemes are parsed too, to be refused by name below.
  CURLUcode code =
      curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) return refuse(text, curl_url_strerror(code));
  return {};
}

Result<Url> checked(const Handle& handle, std::string_view text) {
  Url url;
  url.scheme = part(handle, CURLUPART_SCHEME);
  if (url.scheme != "http" && url.scheme != "https")
    return refuse(text, fmt::format("scheme '{}' is not http or https", printable(url.scheme)));
  if (!part(handle, CURLUPART_USER).empty() || !part(handle, CURLUPART_PASSWORD).empty())
    return refuse(text, "carries a user name or password");
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  url.host = part(handle, CURLUPART_HOST);
  std::transform(url.host.begin(), url.host.end(), url.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (url.host.starts_with('[') && url.host.ends_with(']'))
    url.host = url.host.substr(1, url.host.size() - 2);
  if (url.host.empty()) return refuse(text, "no host");
  // libcurl takes "%85" for a byte of the name, which it would not take again.
  if (url.host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-._:") != std::string::npos)
    return refuse(text, "bad host name");
  url.port = static_cast<uint16_t>(std::atoi(part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT).c_str()));
  if (url.port == 0) return refuse(text, "bad port");
  url.text = part(handle, CURLUPART_URL);
  return url;
}

Result<Handle> handle_of(std::string_view text) {
  Handle handle(curl_url());
  if (handle == nullptr) return make_error(Code::internal, "URL: out of memory");
  TRY(set_text(handle, text));
  return handle;
}

}  // namespace

std::string Url::origin() const {
  bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, v6 ? "[" : "", host, v6 ? "]" : "", port);
}

Result<Url> parse_url(std::string_view text) {
  TRY_ASSIGN(Handle handle, handle_of(text));
  return checked(handle, text);
}

Result<Url> resolve_url(const Url& base, std::string_view reference) {
  TRY_ASSIGN(Handle handle, handle_of(base.text));
  TRY(set_text(handle, reference));
  return checked(handle, reference);
}

Result<Url> join_url(const Url& base, std::string_view name) {
  TRY_ASSIGN(Handle handle, handle_of(base.text));
  std::string path = part(handle, CURLUPART_PATH);
  if (!path.ends_with('/')) path += '/';
  path += name;
  CURLUcode code = curl_url_set(handle.get(), CURLUPART_PATH, path.c_str(), 0);
  if (code != CURLUE_OK) return refuse(path, curl_url_strerror(code));
  return checked(handle, base.text);
}

Result<Url> add_query(const Url& url, std::string_view name, std::string_view value) {
  TRY_ASSIGN(Handle handle, handle_of(url.text));
  std::string pair = fmt::format("{}={}", name, value);
  CURLUcode code =
      curl_url_set(handle.get(), CURLUPART_QUERY, pair.c_str(), CURLU_APPENDQUERY | CURLU_URLENCODE);
  if (code != CURLUE_OK) return refuse(url.text, curl_url_strerror(code));
  return checked(handle, url.text);
}

}  // namespace erofs_format::registry
