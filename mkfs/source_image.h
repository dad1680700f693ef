// The images to convert behind a name: one, or one for each platform.
#pragma once

#include <memory>
#include <vector>

#include "erofs-format/image/image_store.h"

namespace mkfs {

using namespace erofs_format;

// With everything that says what its layers must be.
struct SourceImage {
  Descriptor descriptor;
  Buffer text;  // of the manifest
  Manifest manifest;
  ImageConfig config;
};

struct PlatformChoice {
  std::vector<Platform> wanted;  // empty: this machine's
  bool all = false;
};

// In the order of the wishes, or of the index. What is Nydus already, or no image of a platform (signatures,
// attestations), is not among all of them.
Result<std::vector<SourceImage>> open_images(const ImageStore& store, const Descriptor& root,
                                             const PlatformChoice& choice);

}  // namespace mkfs
