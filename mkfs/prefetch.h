// Which files an image wants read first: patterns as converters hand them over.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

// Absolute paths, one a line, until the end of `fd`; cleaned of `//` and `/./`. Relative ones and
// those below an earlier one are left out with a warning.
Result<std::vector<std::string>> read_prefetch_patterns(int fd, const std::string& name);
std::vector<std::string> parse_prefetch_patterns(std::string_view text);

// The inodes that patterns name exactly, in the order of the patterns.
std::vector<InodeId> resolve_prefetch(const Tree& tree, const std::vector<std::string>& patterns);

}  // namespace mkfs
