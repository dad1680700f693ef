// Both passes of writing a bootstrap: its layout, then the bytes, each compared with the layout.
#pragma once

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

// What of a tree is needed when its bootstrap is written.
enum class Keep {
  nothing,
  inodes,  // they then number their chunks as the bootstrap's table does: take_chunks() gets these back
};

// The bootstrap of `tree`, read back and found sound. Inodes and chunks are freed as soon as they are
// written, so that tree and bootstrap are never in memory whole together; blobs and settings stay. A byte
// that would not land where the layout says is Code::internal; what breaks a limit of the format is
// Code::too_large and names the path.
Result<Buffer> drain_to_bootstrap(Tree& tree, Keep keep = Keep::nothing);

}  // namespace erofs_format
