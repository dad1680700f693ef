// How the commands that read an image are told which one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "erofs-format/base/options.h"
#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

// BOOTSTRAP as operand or with --bootstrap; a blob with an inlined bootstrap serves too, named by path or by
// its id in --blob-dir.
Result<Tree> open_image_argument(const Arguments& arguments, std::vector<std::string>* notes = nullptr);
// The path that was used.
Result<std::string> image_path_argument(const Arguments& arguments);

// "/a/b" of an inode that is a directory; others are named by their entry.
std::string directory_path(const Tree& tree, InodeId id);
// Calls `visit` with every path but the root, parents first, names in order. No recursion.
using PathVisitor = std::function<Result<void>(const std::string& path, InodeId parent, InodeId id)>;
Result<void> walk_paths(const Tree& tree, const PathVisitor& visit);

}  // namespace mkfs
