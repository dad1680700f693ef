// What points to a blob: media type, digest, size, and for images the platform.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"
#include "erofs-format/image/json.h"

namespace erofs_format {

// "sha256:<64 lower-case hex digits>". Other algorithms are Code::unsupported.
Result<Digest> parse_digest(std::string_view text);
std::string digest_text(const Digest& digest);

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;  // empty = not said

  // Whether an image of this platform serves a wish for `wanted`: its variant counts only when
  // the wish names one.
  bool serves(const Platform& wanted) const;
};
// "OS/ARCH[/VARIANT]"
Result<Platform> parse_platform(std::string_view text);
std::string to_string(const Platform& platform);
// What the running machine is called in images.
Platform host_platform();
// From {"os": …, "architecture": …, "variant": …}.
Result<Platform> platform_from(const JsonField& object);

struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  std::map<std::string, std::string> annotations;
  std::optional<Platform> platform;
  Json document = Json::object();  // as it was read, with every unknown field

  std::string annotation(std::string_view key) const;
};
Result<Descriptor> descriptor_from(const JsonField& object);
// `descriptor.document` with the known fields set anew.
Json to_json(const Descriptor& descriptor);
Result<std::map<std::string, std::string>> annotations_from(const JsonField& object);

}  // namespace erofs_format
