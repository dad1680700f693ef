// A plain EROFS image, data and all in one file: nothing to fetch, the kernel mounts it like a bootstrap.
#pragma once

#include <string>

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// Copies `source`, the file `name`, to `to`; what the kernel would not serve rightly through every mechanism
// is refused with its reason (compressed files, other blocks than pages, devices of its own).
Result<void> keep_raw_image(int source, const std::string& name, const std::string& to);

}  // namespace fscached
