#include <string_view>

#include "erofs-format/registry/limits.h"
#include "fscached/storage/http_storage.h"
#include "fscached/storage/localfs.h"
#include "fscached/storage/mirrored_storage.h"

namespace fscached {

namespace {

// Mirrors are asked once: the next one is nearer than their recovery.
Result<std::unique_ptr<Storage>> open_places(Loop& loop, std::vector<KnownPlace> places,
                                             StorageCounters& counters, const StorageOptions& options) {
  std::vector<std::unique_ptr<Storage>> storages;
  for (KnownPlace& place : places) {
    unsigned attempts = &place == &places.back() ? registry::kMaxAttempts : 1;
    TRY_ASSIGN(auto storage, make_registry_storage(loop, std::move(place), attempts, counters, options));
    storages.push_back(std::move(storage));
  }
  if (storages.size() == 1) return std::move(storages[0]);
  return make_mirrored_storage(loop, std::move(storages));
}

}  // namespace

Result<std::unique_ptr<Storage>> open_storage(Loop& loop, const std::string& where, StorageCounters& counters,
                                              const StorageOptions& options) {
  if (where.starts_with("docker://")) {
    TRY_ASSIGN(std::vector<KnownPlace> places, find_places(where, options));
    return open_places(loop, std::move(places), counters, options);
  }
  if (where.find("://") != std::string::npos) {
    TRY_ASSIGN(registry::Url base, registry::parse_url(where));
    return make_http_storage(loop, base, counters, options);
  }
  if (where.empty()) return make_error(Code::invalid_argument, "blobs: an empty place");
  return make_localfs(loop, where, counters, options.open_elsewhere);
}

}  // namespace fscached
