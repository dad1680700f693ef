// The Nydus image behind a name, whichever way it is packaged, and its bootstrap.
#pragma once

#include <string>

#include "erofs-format/image/image_store.h"

namespace erofs_format {

// Manifests looked into for one image.
constexpr size_t kMaxManifestsTried = 16;
constexpr uint64_t kMaxBootstrapLayerBytes = 512 << 20;

// From `root`, as a store's find() gave it: the manifest itself; of an index the one for `platform`,
// those that are marked first; else the one that refers to the ordinary image. Each document is compared with
// its digest. An ordinary image alone is Code::unsupported, with the command that converts it. `name` is the
// image's, for messages.
Result<Manifest> find_nydus_manifest(const ImageStore& store, const Descriptor& root,
                                     const Platform& platform, const std::string& name);

// The bootstrap inside the last layer of a Nydus image, verified.
Result<Buffer> read_bootstrap(const ImageStore& store, const Manifest& manifest, const std::string& name);

}  // namespace erofs_format
