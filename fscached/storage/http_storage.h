// Blobs behind an HTTP server: BASE/ID, or a registry's /v2/NAME/blobs/sha256:ID.
#pragma once

#include "erofs-format/registry/repository.h"
#include "erofs-format/registry/requests.h"
#include "fscached/storage/storage.h"

namespace fscached {

Result<std::unique_ptr<Storage>> make_http_storage(Loop& loop, const registry::Url& base,
                                                   StorageCounters& counters, const StorageOptions& options);

// A repository: its blobs, and its documents besides.
class Registry : public Storage {
 public:
  // `reference`: a tag, or "sha256:…". Runs `done` later, once.
  virtual void manifest(const std::string& reference,
                        std::function<void(Result<registry::Document>)> done) = 0;
};
// `where`: "HOST[:PORT]/NAME", docker:// in front or not.
Result<std::unique_ptr<Registry>> open_registry(Loop& loop, const std::string& where,
                                                StorageCounters& counters,
                                                const StorageOptions& options = {});

}  // namespace fscached
