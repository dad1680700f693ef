// Both passes of writing a bootstrap: its layout, then the bytes, each compared with the layout.
#pragma once

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

// The bootstrap of `tree`, read back and found sound. A byte that would not land where the layout says is
// Code::internal; what breaks a limit of the format is Code::too_large and names the path.
Result<Buffer> build_bootstrap(const Tree& tree);

// The same bytes, from a tree whose inodes and chunks nobody needs afterwards: each is freed as soon as it
// is written, so tree and bootstrap are never in memory whole together. Blobs and settings stay.
Result<Buffer> drain_to_bootstrap(Tree& tree);

}  // namespace erofs_format
