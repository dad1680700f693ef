// Proof that blobs hold what a bootstrap says of them: lengths, sections, chunk information,
// every chunk, and the id.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

// `notes` gets what is odd but known of other builders.
Result<void> verify_blobs(const Tree& tree, const std::vector<std::string>& directories,
                          std::vector<std::string>& notes);

}  // namespace mkfs
