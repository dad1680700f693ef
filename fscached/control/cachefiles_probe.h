// What only `doctor` tries of cachefiles; the daemon tries it by binding its own cache.
#pragma once

#include <string>

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// Binds a cache in a new folder below `root` and lets it go again.
Result<void> probe_cachefiles_cache(const std::string& root);
// Why the kernel that runs is known to be unsafe for cachefiles; empty = it is not.
std::string known_cachefiles_defect();

}  // namespace fscached
