// Blobs behind an HTTP server: BASE/ID, or a registry's /v2/NAME/blobs/sha256:ID.
#pragma once

#include <vector>

#include "erofs-format/registry/hosts_file.h"
#include "fscached/storage/storage.h"

namespace fscached {

Result<std::unique_ptr<Storage>> make_http_storage(Loop& loop, const registry::Url& base,
                                                   StorageCounters& counters, const StorageOptions& options);

// A server that has a repository, and what it is asked with.
struct KnownPlace : registry::Place {
  registry::Credential credential;
};
// Of `where`, "docker://HOST[:PORT]/NAME": its mirrors and last itself, as hosts.toml says.
Result<std::vector<KnownPlace>> find_places(const std::string& where, const StorageOptions& options);
// One that has others behind it is asked once only: `attempts`.
Result<std::unique_ptr<Storage>> make_registry_storage(Loop& loop, KnownPlace place, unsigned attempts,
                                                       StorageCounters& counters,
                                                       const StorageOptions& options);

}  // namespace fscached
