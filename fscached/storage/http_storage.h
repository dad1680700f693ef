// Blobs behind an HTTP server: BASE/ID, or a registry's /v2/NAME/blobs/sha256:ID.
#pragma once

#include "erofs-format/registry/repository.h"
#include "fscached/storage/storage.h"

namespace fscached {

Result<std::unique_ptr<Storage>> make_http_storage(Loop& loop, const registry::Url& base,
                                                   StorageCounters& counters, const StorageOptions& options);

// A repository, and what it is asked with.
struct KnownRepository {
  registry::Repository repository;
  registry::Credential credential;
};
// `where`: "docker://HOST[:PORT]/NAME".
Result<KnownRepository> find_repository(const std::string& where, const StorageOptions& options);
Result<std::unique_ptr<Storage>> make_registry_storage(Loop& loop, KnownRepository known,
                                                       StorageCounters& counters,
                                                       const StorageOptions& options);

}  // namespace fscached
