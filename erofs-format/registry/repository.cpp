#include "erofs-format/registry/repository.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/bytes.h"
#include "erofs-format/registry/reach.h"

namespace erofs_format::registry {
namespace {

constexpr std::string_view kScheme = "docker://";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// One path component: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_component(std::string_view text) {
  if (text.empty() || !is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    size_t start = i;
    while (i < text.size() && !is_alphanumeric(text[i])) i++;
    std::string_view separator = text.substr(start, i - start);
    bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
    i++;
  }
  return true;
}

bool is_name(std::string_view name) {
  if (name.size() > kMaxRepositoryName) return false;
  for (;;) {
    size_t slash = name.find('/');
    if (!is_component(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

Error bad(std::string_view where, std::string_view why) {
  return make_error(Code::invalid_argument, fmt::format("repository '{}': {}", printable(where), why));
}

}  // namespace

Result<void> check_reference(std::string_view reference) {
  constexpr std::string_view kDigest = "sha256:";
  bool good = false;
  if (reference.starts_with(kDigest)) {
    std::string_view hex = reference.substr(kDigest.size());
    good = hex.size() == 64 && hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  } else {
    // [A-Za-z0-9_][A-Za-z0-9._-]{0,127}
    good = !reference.empty() && reference.size() <= kMaxTag && reference[0] != '.' && reference[0] != '-' &&
           std::all_of(reference.begin(), reference.end(), [](char c) {
             return is_alphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
           });
  }
  if (good) return {};
  return make_error(Code::invalid_argument,
                    fmt::format("'{}' is neither a tag nor a digest", printable(reference.substr(0, 200))));
}

Result<Repository> parse_repository(std::string_view where, PlainHttp plain) {
  std::string_view rest = where;
  if (rest.starts_with(kScheme)) rest.remove_prefix(kScheme.size());
  size_t slash = rest.find('/');
  if (slash == 0 || slash == std::string_view::npos) return bad(where, "not HOST[:PORT]/NAME");
  std::string host(rest.substr(0, slash));
  std::string name(rest.substr(slash + 1));
  if (!is_name(name)) return bad(where, fmt::format("'{}' is not a repository name", printable(name)));
  if (host.find_first_of("?#@\\") != std::string::npos) return bad(where, "a bad host name");
  Repository repository;
  repository.host = host;
  if (host == "docker.io" || host == "index.docker.io") {
    host = "registry-1.docker.io";
    if (name.find('/') == std::string::npos) name = "library/" + name;
  }
  TRY_ASSIGN(Url probe, parse_url("https://" + host + "/"));
  bool loopback = reach_of(probe.host) == Reach::loopback;
  const char* scheme = loopback || plain == PlainHttp::allowed ? "http" : "https";
  TRY_ASSIGN(repository.base, parse_url(fmt::format("{}://{}/v2/{}/", scheme, host, name)));
  repository.name = std::move(name);
  return repository;
}

}  // namespace erofs_format::registry
