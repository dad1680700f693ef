// An image by its name: its bootstrap, and where its blobs are.
#pragma once

#include <string>

#include "erofs-format/base/bytes.h"
#include "fscached/storage/storage.h"

namespace fscached {

struct NamedImage {
  std::string name;  // full_image_name() of what was asked for
  Buffer bootstrap;
  std::string where;  // as --blobs takes it
};

// The one spelling of an image's name: with its transport, an absolute path, and the tag a registry takes
// when none is given.
Result<std::string> full_image_name(const std::string& image);

// `image`: docker://HOST[:PORT]/NAME[:TAG|@DIGEST] or oci:DIR[:TAG]; of an index the Nydus image for this
// machine, of an ordinary image the Nydus one that refers to it. Every document and the layer are
// compared with their digests (a tag vouches for the first). Takes as long as the network does: not for the
// event loop's thread.
Result<NamedImage> open_named_image(const std::string& image, const StorageOptions& options = {});

}  // namespace fscached
