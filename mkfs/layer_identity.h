// What a converted layer's descriptor says of it, so that a later conversion finds the layer again instead of
// making it once more.
#pragma once

#include <optional>
#include <string>

#include "erofs-format/image/descriptor.h"
#include "mkfs/build.h"

namespace mkfs {

// Two layers of the same identity are as good as each other.
struct LayerIdentity {
  Digest diff_id;     // of the source layer
  std::string build;  // build_words()
  auto operator<=>(const LayerIdentity&) const = default;
};

// Everything that decides what becomes of a layer, the builder's version first.
std::string build_words(const BuildOptions& options);

// The end of a blob, behind its chunks: chunk information, bootstrap, table of contents. With it alone a
// layer is merged again.
struct LayerMetadata {
  uint64_t offset = 0;  // in the blob
  Digest digest;        // SHA-256 from there to the blob's end
};

Descriptor blob_descriptor(const Digest& digest, uint64_t size);
void annotate(Descriptor& blob, const LayerIdentity& identity, const LayerMetadata& metadata);
// Nothing for layers of other builders.
std::optional<LayerIdentity> identity_of(const Descriptor& blob);
Result<LayerMetadata> metadata_of(const Descriptor& blob);

}  // namespace mkfs
