// What `--output-json` writes: the answer other tools read back (nydus-rafs-v6.md 3.4).
#pragma once

#include <string>

#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

// `bootstrap` is the path as it was given, empty when it lies inside the blob.
std::string output_json(const Tree& tree, const std::string& bootstrap);
// Writes it, replacing the file.
Result<void> write_output_json(const std::string& path, const Tree& tree, const std::string& bootstrap);

}  // namespace mkfs
