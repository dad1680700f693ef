// Which unused cache files go, and how.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "fscached/kernel/cache_directory.h"
#include "fscached/kernel/prune_wish.h"

namespace fscached {

struct UnusedFile {
  int64_t last_use = 0;  // nanoseconds since 1970
  uint64_t bytes = 0;    // on the disk
  std::string path;      // of a plain file
  CookieName cookie;     // or of one in the kernel's cache
};

// Those to be taken away, the longest unused first.
std::vector<UnusedFile> choose_pruned(std::vector<UnusedFile> unused, uint64_t keep_bytes);

// Both return the bytes that became free. Files of blobs below `folder` that are in `used` (paths) stay.
Result<uint64_t> prune_folder(const std::string& folder, const std::set<std::string>& used,
                              const PruneWish& wish);
// Inside CacheDirectory::run().
Result<uint64_t> prune_cache(const CacheDirectory& directory, const std::set<CookieName>& used,
                             const PruneWish& wish);

}  // namespace fscached
