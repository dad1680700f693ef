// Converted layers become a Nydus image: one bootstrap over them, its configuration and its manifest
// (nydus-rafs-v6.md 3.1).
#pragma once

#include <vector>

#include "mkfs/convert_layer.h"
#include "mkfs/source_image.h"

namespace mkfs {

struct NydusImage {
  Manifest manifest;
  uint64_t bootstrap_size = 0;
  uint64_t bootstrap_layer_size = 0;
};

// Gives the target everything but the manifest. The layers' trees and tables are used up.
Result<NydusImage> make_nydus_image(const SourceImage& source, std::vector<ConvertedLayer>& layers,
                                    ImageTarget& target, const ConvertOptions& options);

}  // namespace mkfs
