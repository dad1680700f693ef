// The process that speaks HTTP: a user of its own, no capability, and the worker's filter of system calls.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// `words`: nydusd's, as words_of() gives them. Returns only with a failure: of the one image of a dedicated
// daemon, or when the launcher is gone.
Result<void> run_api(const std::vector<std::string>& words);

}  // namespace fscached
