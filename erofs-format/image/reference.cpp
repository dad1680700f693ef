#include "erofs-format/image/reference.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/options.h"
#include "erofs-format/image/descriptor.h"

namespace erofs_format {

namespace {

constexpr size_t kMaxTagLength = 128;
constexpr size_t kMaxNameLength = 255;

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kMaxTagLength || text[0] == '.' || text[0] == '-') return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

// The annotation that names an image of a layout may hold a whole reference.
bool is_layout_name(std::string_view text) {
  constexpr std::string_view kSeparators = "-._:@/+";
  if (text.empty() || text.size() > kMaxNameLength || !is_alnum(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_alnum(c) || kSeparators.find(c) != kSeparators.npos; });
}

bool is_name_component(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_repository(std::string_view text) {
  if (text.size() > kMaxNameLength) return false;
  for (size_t start = 0;;) {
    size_t slash = text.find('/', start);
    if (!is_name_component(text.substr(start, slash == text.npos ? slash : slash - start))) return false;
    if (slash == text.npos) return true;
    start = slash + 1;
  }
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "example.org", "10.0.0.1:5000", "[::1]:5000". A first component without dot, port or
// the word localhost is a folder of some default registry, which we do not guess.
bool is_host(std::string_view text) {
  std::string_view rest = text;
  if (text.starts_with('[')) {
    size_t close = text.find(']');
    if (close == text.npos || close < 3) return false;
    constexpr std::string_view kAddress = "0123456789abcdefABCDEF:.";
    if (text.substr(1, close - 1).find_first_not_of(kAddress) != text.npos) return false;
    rest = text.substr(close + 1);
    return rest.empty() || (rest[0] == ':' && is_port(rest.substr(1)));
  }
  size_t colon = text.find(':');
  if (colon != text.npos && !is_port(text.substr(colon + 1))) return false;
  std::string_view name = text.substr(0, colon);
  if (colon == text.npos && name != "localhost" && name.find('.') == name.npos) return false;
  return !name.empty() && is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '.' || c == '-'; });
}

Error bad(std::string_view text, std::string_view why) {
  return usage_error(fmt::format("image '{}': {}", printable(text), why));
}

Result<ImageReference> parse_file(std::string_view text, std::string_view rest, Transport transport) {
  ImageReference reference;
  reference.transport = transport;
  size_t colon = rest.find(':');
  reference.path = rest.substr(0, colon);
  if (reference.path.empty()) return bad(text, "the path is missing");
  if (reference.path.find('\0') != std::string::npos) return bad(text, "the path holds a NUL");
  if (colon == rest.npos) return reference;
  reference.tag = rest.substr(colon + 1);
  if (!is_layout_name(reference.tag)) return bad(text, "the tag after ':' is not a name");
  return reference;
}

Result<ImageReference> parse_registry(std::string_view text, std::string_view rest) {
  ImageReference reference;
  size_t slash = rest.find('/');
  if (slash == rest.npos || !is_host(rest.substr(0, slash)))
    return bad(text, "not HOST[:PORT]/NAME[:TAG|@DIGEST], oci:DIR[:TAG] or another known form");
  reference.host = rest.substr(0, slash);
  std::string_view name = rest.substr(slash + 1);
  if (size_t at = name.find('@'); at != name.npos) {
    reference.digest = name.substr(at + 1);
    if (!parse_digest(reference.digest))
      return bad(text, "the digest after '@' is not sha256:<64 hex digits>");
    name = name.substr(0, at);
  }
  if (size_t colon = name.find(':'); colon != name.npos) {
    reference.tag = name.substr(colon + 1);
    if (!is_tag(reference.tag)) return bad(text, "the tag after ':' is not a tag");
    name = name.substr(0, colon);
  }
  reference.name = name;
  if (!is_repository(name)) return bad(text, fmt::format("'{}' is not a repository name", printable(name)));
  return reference;
}

}  // namespace

Result<ImageReference> parse_reference(std::string_view text) {
  if (text.size() > kMaxReferenceLength) return bad(text.substr(0, 64), "the name is too long");
  for (auto transport : {Transport::oci_archive, Transport::docker_archive, Transport::oci_layout}) {
    std::string_view prefix = transport_name(transport);
    if (text.starts_with(prefix)) return parse_file(text, text.substr(prefix.size()), transport);
  }
  std::string_view rest = text;
  std::string_view prefix = transport_name(Transport::registry);
  if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
  return parse_registry(text, rest);
}

const char* transport_name(Transport transport) {
  switch (transport) {
    case Transport::registry: return "docker://";
    case Transport::oci_layout: return "oci:";
    case Transport::oci_archive: return "oci-archive:";
    case Transport::docker_archive: return "docker-archive:";
  }
  return "?";
}

std::string to_string(const ImageReference& reference) {
  std::string text = transport_name(reference.transport);
  if (reference.transport == Transport::registry) {
    text += reference.host + "/" + reference.name;
  } else {
    text += reference.path;
  }
  if (!reference.tag.empty()) text += ":" + reference.tag;
  if (!reference.digest.empty()) text += "@" + reference.digest;
  return text;
}

}  // namespace erofs_format
