// A blob in a folder: FOLDER/ID.
#pragma once

#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// For reading. Whatever else has a blob's name (a FIFO would stop who opens it) is refused.
Result<os::UniqueFd> open_blob_file(const std::string& folder, const std::string& blob_id);

}  // namespace fscached
