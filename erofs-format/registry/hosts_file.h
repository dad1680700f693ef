// containerd's hosts.toml: which servers stand for a registry, in which order, and on what terms.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/registry/http_options.h"
#include "erofs-format/registry/repository.h"

namespace erofs_format::registry {

inline constexpr uint64_t kMaxHostsFileBytes = 1 << 20;
inline constexpr size_t kMaxMirrors = 16;

struct HostEntry {
  Url base;  // repositories are below it: https://HOST/v2/
  bool pull = true, resolve = true;
  OriginOptions terms;
};

struct HostsFile {
  std::vector<HostEntry> mirrors;  // in the file's order
  std::optional<Url> server;       // instead of the registry's own address
  OriginOptions terms;             // of that
};

// Understood: server, ca, client, header, capabilities, override_path and [host."URL"]; `skip_verify = true`
// is an error, other keys are containerd's own business. Files are named relative to `path`, which is also
// for messages.
Result<HostsFile> parse_hosts_file(std::string_view text, const std::string& path);
// FOLDER/HOST[:PORT]/hosts.toml, else FOLDER/_default/hosts.toml, else an empty one. An empty folder: none.
Result<HostsFile> find_hosts_file(const std::string& folder, const std::string& host);

// A server that may be asked for a repository's documents (with `resolve` also by their tags) and blobs.
struct Place {
  Repository repository;
  OriginOptions terms;
  bool resolve = true;
};
// The mirrors one can pull from in their order, and last the registry itself.
Result<std::vector<Place>> places_of(const Repository& repository, const HostsFile& hosts);

}  // namespace erofs_format::registry
