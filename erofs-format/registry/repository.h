// A repository in a registry, and the URLs of what it holds.
#pragma once

#include <string>
#include <string_view>

#include "erofs-format/registry/url.h"

namespace erofs_format::registry {

inline constexpr size_t kMaxRepositoryName = 255;  // OCI distribution specification

struct Repository {
  Url base;          // https://host:port/v2/NAME/
  std::string name;  // "library/debian"

  // Where the blob with this SHA-256 (64 hex digits) is.
  Result<Url> blob_url(std::string_view sha256_hex) const;
};

enum class PlainHttp { loopback_only, allowed };

// "HOST[:PORT]/NAME" (docker:// in front or not). https, but http for a host that is loopback by its name
// or address, and for any when `plain` says so. docker.io becomes the host that serves it.
Result<Repository> parse_repository(std::string_view where, PlainHttp plain);

}  // namespace erofs_format::registry
