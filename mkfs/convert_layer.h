// One layer of an OCI image on its way to a Nydus blob.
#pragma once

#include <atomic>
#include <string>

#include "mkfs/convert.h"
#include "mkfs/layer_cache.h"
#include "mkfs/progress.h"

namespace mkfs {

struct SourceLayer {
  Descriptor descriptor;
  Digest diff_id;    // SHA-256 of the tar
  std::string name;  // for messages
  LayerProgress& progress;
};

struct ConvertedLayer {
  Tree tree;
  Descriptor blob;
  Buffer chunk_table;  // as it travels beside the bootstrap; empty without chunks
  LayerReport report;
};

// What all layers of a conversion share.
struct LayerContext {
  const ImageStore& source;
  ImageTarget& target;
  WorkerPool& pool;
  const LayerCache* cache = nullptr;  // gets what is converted
  std::atomic<bool> stop = false;     // set by another thread: ends early
};

// For a blob on its way to the target.
Moved pushing(LayerContext& context, LayerProgress& progress);

// Code::unsupported for what cannot become a Nydus layer, converted before or not.
Result<void> check_media_type(const SourceLayer& layer);

// Reads, verifies, builds, and gives the blob to the target. A layer whose bytes or tar are not what manifest
// and config say is an error, found before that.
Result<ConvertedLayer> convert_layer(LayerContext& context, const SourceLayer& layer,
                                     const BuildOptions& options);

// The same without its source, from a blob that another conversion made with these options.
Result<ConvertedLayer> reuse_layer(LayerContext& context, const SourceLayer& layer,
                                   const BuildOptions& options, const KnownLayer& known);

}  // namespace mkfs
