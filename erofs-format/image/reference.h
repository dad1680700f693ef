// The IMAGE grammar of the command lines: where an image lives.
#pragma once

#include <string>
#include <string_view>

#include "erofs-format/base/result.h"

namespace erofs_format {

enum class Transport { registry, oci_layout, oci_archive, docker_archive };

struct ImageReference {
  Transport transport = Transport::registry;
  std::string path;    // directory or file; empty for a registry
  std::string host;    // "HOST[:PORT]", registry only
  std::string name;    // repository, registry only
  std::string tag;     // empty = none given
  std::string digest;  // "sha256:…", registry only; empty = none given
};

// The longest text taken for a reference.
constexpr size_t kMaxReferenceLength = 4096 + 512;

// `docker://HOST[:PORT]/NAME[:TAG|@DIGEST]` (also without `docker://`), `oci:DIR[:TAG]`,
// `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:TAG]`. Anything else is a usage error.
Result<ImageReference> parse_reference(std::string_view text);
std::string to_string(const ImageReference& reference);
// "docker://", "oci:", …: for messages.
const char* transport_name(Transport transport);

}  // namespace erofs_format
