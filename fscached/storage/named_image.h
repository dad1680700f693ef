// An image by its name: its bootstrap, and where its blobs are.
#pragma once

#include <string>

#include "erofs-format/base/bytes.h"
#include "fscached/storage/storage.h"

namespace fscached {

struct NamedImage {
  Buffer bootstrap;
  std::string where;  // as --blobs takes it
};

// `image`: docker://HOST[:PORT]/NAME[:TAG|@DIGEST] or oci:DIR[:TAG]; of an index the Nydus image for
// this machine. Every document and the layer are compared with their digests (a tag vouches for the first).
// Takes as long as the network does: not for the event loop's thread, it runs a loop of its own.
Result<NamedImage> open_named_image(const std::string& image, const StorageOptions& options = {});

}  // namespace fscached
