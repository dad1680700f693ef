// The canonical text form of an image: one JSON object per path, sorted by path as printed
// (README.md describes it).
#pragma once

#include <functional>
#include <string>

#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

// SHA-256 of a regular file's content, from wherever the caller reads blobs.
using ContentDigest = std::function<Result<Digest>(InodeId)>;

// Calls `line` with each JSON object, without newline. Without `content`, files
// carry "chunks" instead of "sha256".
Result<void> dump_tree(const Tree& tree, const ContentDigest& content,
                       const std::function<Result<void>(std::string_view line)>& line);

}  // namespace erofs_format
