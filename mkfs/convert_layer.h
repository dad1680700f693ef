// One layer of an OCI image on its way to a Nydus blob.
#pragma once

#include <atomic>
#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/image/image_store.h"
#include "mkfs/convert.h"

namespace mkfs {

struct SourceLayer {
  Descriptor descriptor;
  Digest diff_id;    // SHA-256 of the tar
  std::string name;  // for messages
};

struct ConvertedLayer {
  Tree tree;
  Digest digest;
  uint64_t size = 0;
  Buffer chunk_table;  // as it travels beside the bootstrap; empty without chunks
  LayerReport report;
};

// Reads, verifies, builds, and gives the blob to the target. A layer whose bytes or tar are not what manifest
// and config say is an error, found before that. `stop` set by another thread ends it early.
Result<ConvertedLayer> convert_layer(const ImageStore& source, ImageTarget& target, const SourceLayer& layer,
                                     const BuildOptions& options, WorkerPool& pool,
                                     const std::atomic<bool>& stop);

}  // namespace mkfs
