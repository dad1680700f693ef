#include "erofs-format/image/descriptor.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <array>
#include <utility>

#include "erofs-format/base/options.h"

namespace erofs_format {

namespace {
constexpr std::string_view kSha256Prefix = "sha256:";
}

Result<Digest> parse_digest(std::string_view text) {
  if (text.starts_with("sha512:")) return make_error(Code::unsupported, "not supported yet: sha512 digests");
  if (!text.starts_with(kSha256Prefix))
    return make_error(Code::corrupt,
                      fmt::format("'{}' is not a sha256 digest", printable(text.substr(0, 80))));
  std::string_view hex = text.substr(kSha256Prefix.size());
  if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != hex.npos)
    return make_error(Code::corrupt,
                      fmt::format("'{}' is not sha256:<64 hex digits>", printable(text.substr(0, 80))));
  return digest_from_hex(hex);
}

std::string digest_text(const Digest& digest) { return std::string(kSha256Prefix) + to_hex(digest); }

bool Platform::serves(const Platform& wanted) const {
  return os == wanted.os && architecture == wanted.architecture &&
         (wanted.variant.empty() || variant == wanted.variant);
}

Result<Platform> parse_platform(std::string_view text) {
  std::array<std::string, 3> parts;
  size_t count = 0;
  for (size_t start = 0;; count++) {
    size_t slash = text.find('/', start);
    if (count < parts.size()) parts[count] = text.substr(start, slash == text.npos ? slash : slash - start);
    if (slash == text.npos) break;
    start = slash + 1;
  }
  if (count < 1 || count > 2 || parts[0].empty() || parts[1].empty() || (count == 2 && parts[2].empty()))
    return usage_error(fmt::format("platform '{}': not OS/ARCH[/VARIANT]", printable(text)));
  return Platform{parts[0], parts[1], parts[2]};
}

std::string to_string(const Platform& platform) {
  std::string text = platform.os + "/" + platform.architecture;
  if (!platform.variant.empty()) text += "/" + platform.variant;
  return text;
}

Platform host_platform() {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kArchitectures = {{
      {"x86_64", "amd64"},
      {"aarch64", "arm64"},
      {"armv7l", "arm"},
      {"i686", "386"},
      {"riscv64", "riscv64"},
      {"s390x", "s390x"},
      {"ppc64le", "ppc64le"},
  }};
  struct utsname name = {};
  ::uname(&name);
  for (auto [machine, architecture] : kArchitectures)
    if (machine == name.machine) return {"linux", std::string(architecture), ""};
  return {"linux", name.machine, ""};
}

Result<Platform> platform_from(const JsonField& object) {
  TRY(object.require_object());
  Platform platform;
  TRY_ASSIGN(platform.os, object.member("os").text());
  TRY_ASSIGN(platform.architecture, object.member("architecture").text());
  TRY_ASSIGN(platform.variant, object.member("variant").optional_text());
  return platform;
}

std::string Descriptor::annotation(std::string_view key) const {
  auto found = annotations.find(std::string(key));
  return found == annotations.end() ? std::string() : found->second;
}

Result<std::map<std::string, std::string>> annotations_from(const JsonField& object) {
  std::map<std::string, std::string> annotations;
  if (!object.present()) return annotations;
  TRY(object.require_object());
  for (const auto& [key, value] : object.value().items()) {
    TRY_ASSIGN(annotations[key], object.member(key).optional_text());
  }
  return annotations;
}

Result<Descriptor> descriptor_from(const JsonField& object) {
  TRY(object.require_object());
  Descriptor descriptor;
  descriptor.document = object.value();
  TRY_ASSIGN(descriptor.media_type, object.member("mediaType").optional_text());
  JsonField digest = object.member("digest");
  TRY_ASSIGN(std::string text, digest.text());
  auto parsed = parse_digest(text);
  if (!parsed) return std::move(parsed).error().within(digest.name());
  descriptor.digest = *parsed;
  TRY_ASSIGN(descriptor.size, object.member("size").number());
  TRY_ASSIGN(descriptor.annotations, annotations_from(object.member("annotations")));
  if (JsonField platform = object.member("platform"); platform.present()) {
    TRY_ASSIGN(descriptor.platform, platform_from(platform));
  }
  return descriptor;
}

Json to_json(const Descriptor& descriptor) {
  Json object = descriptor.document;
  object["mediaType"] = descriptor.media_type;
  object["digest"] = digest_text(descriptor.digest);
  object["size"] = descriptor.size;
  object.erase("annotations");
  for (const auto& [key, value] : descriptor.annotations) object["annotations"][key] = value;
  return object;
}

}  // namespace erofs_format
