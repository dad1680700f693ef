// The worker process, from its fixed descriptors to its loop.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// `words`: the settings the keeper passes. Returns only when it could not start.
Result<void> run_worker(const std::vector<std::string>& words);

}  // namespace fscached
