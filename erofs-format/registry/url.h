// URLs as the transport reads them: parsed by libcurl's own parser, so that what was
// checked is what is connected to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "erofs-format/base/result.h"

namespace erofs_format::registry {

inline constexpr size_t kMaxUrlBytes = 8192;

struct Url {
  std::string text;    // normalised
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; an IPv6 address without brackets
  uint16_t port = 0;

  bool secure() const { return scheme == "https"; }
  // "https://host:443"; what a credential belongs to.
  std::string origin() const;
  // For messages: no query, since a presigned URL carries its secret there.
  std::string public_text() const { return text.substr(0, text.find('?')); }
};

// http and https only; user names, passwords and fragments are refused.
Result<Url> parse_url(std::string_view text);
// What `reference` (a Location header, a token realm) means at `base`.
Result<Url> resolve_url(const Url& base, std::string_view reference);
// `base` with `name` put behind its path; the path gets its "/" if it has none at the end.
Result<Url> join_url(const Url& base, std::string_view name);
// One name=value more in the query, both encoded.
Result<Url> add_query(const Url& url, std::string_view name, std::string_view value);

}  // namespace erofs_format::registry
