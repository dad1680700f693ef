// A repository in a registry, and the URLs of what it holds.
#pragma once

#include <string>
#include <string_view>

#include "erofs-format/registry/url.h"

namespace erofs_format::registry {

inline constexpr size_t kMaxRepositoryName = 255;  // OCI distribution specification
inline constexpr size_t kMaxTag = 128;

struct Repository {
  Url base;  // https://host:port/v2/NAME/; blobs are at blobs/sha256:HEX, documents at manifests/REFERENCE
  std::string host;  // "HOST[:PORT]" as it was given: what credentials are kept under
  std::string name;  // "library/debian"
};

enum class PlainHttp { loopback_only, allowed };

// "HOST[:PORT]/NAME" (docker:// in front or not). https, but http for a host that is loopback by its name
// or address, and for any when `plain` says so. docker.io becomes the host that serves it.
Result<Repository> parse_repository(std::string_view where, PlainHttp plain);

// A tag, or "sha256:" and 64 hex digits.
Result<void> check_reference(std::string_view reference);

}  // namespace erofs_format::registry
