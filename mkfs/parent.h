// `--parent-bootstrap`: what is built becomes a layer over an image.
#pragma once

#include <string>

#include "erofs-format/base/result.h"
#include "mkfs/build.h"

namespace mkfs {

struct Parent {
  std::string name;  // for messages
  Tree tree;
};

// The build's entries over the parent's, by the rules of OCI whiteouts. `result` is a build with keep_tree
// whose whiteouts were kept as files; its bootstrap becomes that of the whole image, with the blobs of both.
// `source` names it in messages.
Result<void> lay_over_parent(Parent parent, const std::string& source, BuildResult& result);

}  // namespace mkfs
