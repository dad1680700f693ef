// A directory as a source: what is to come first, then every other path below it, parents first, names in
// byte order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "mkfs/source.h"

namespace mkfs {

struct DirectoryOptions {
  // fnmatch(3) patterns; one with a slash is matched against the whole path, others against the name. A
  // directory that matches is left out with everything below it.
  std::vector<std::string> exclude;
  // Paths (relative, cleaned) given before all others, in this order, a directory with everything below it:
  // before its parents too, so that their content is at the front of the blob.
  std::vector<std::string> first;
  // Names that mark removals by the OCI image specification have no content. A file that has another
  // name besides is given whole under that one.
  bool oci_whiteouts = false;
};

// Walks by descriptors and never through a symlink, so that nothing outside the tree is read
// even while it changes. A file that changes between its entry and its last byte is Code::changed.
Result<std::unique_ptr<Source>> make_directory_source(const std::string& path, DirectoryOptions options);

}  // namespace mkfs
