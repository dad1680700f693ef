// How converted images are shown at the target: a manifest, or an index of several.
#pragma once

#include <string>
#include <vector>

#include "mkfs/convert.h"
#include "mkfs/nydus_image.h"

namespace mkfs {

struct MadeImage {
  const SourceImage* source = nullptr;
  NydusImage nydus;
};

// One image becomes `tag` itself, unless an index was asked for. Returns what `tag` names.
Result<Digest> publish_images(std::vector<MadeImage> images, const ImageStore& store, ImageTarget& target,
                              const ConvertOptions& options, const std::string& tag);

}  // namespace mkfs
