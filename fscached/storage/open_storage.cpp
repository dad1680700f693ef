#include <string_view>

#include "erofs-format/registry/repository.h"
#include "fscached/storage/http_storage.h"
#include "fscached/storage/localfs.h"

namespace fscached {

Result<std::unique_ptr<Storage>> open_storage(Loop& loop, const std::string& where, StorageCounters& counters,
                                              const StorageOptions& options) {
  if (where.starts_with("docker://")) {
    TRY_ASSIGN(KnownRepository known, find_repository(where, options));
    return make_registry_storage(loop, std::move(known), counters, options);
  }
  if (where.find("://") != std::string::npos) {
    TRY_ASSIGN(registry::Url base, registry::parse_url(where));
    return make_http_storage(loop, base, counters, options);
  }
  if (where.empty()) return make_error(Code::invalid_argument, "blobs: an empty place");
  return make_localfs(loop, where, counters, options.open_elsewhere);
}

}  // namespace fscached
