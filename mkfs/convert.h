// An OCI image becomes a Nydus image: each layer a blob, merged under one bootstrap
// (nydus-rafs-v6.md 3.1). Nothing is visible at the target before everything is complete.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/image/image_store.h"
#include "erofs-format/image/reference.h"
#include "mkfs/build.h"
#include "mkfs/image_places.h"
#include "mkfs/progress.h"
#include "mkfs/source_image.h"

namespace mkfs {

using namespace erofs_format;

// How an index tells Nydus images from their originals, for clients that know no Nydus.
enum class IndexMark { none, artifact_type, os_features };

struct ConvertOptions {
  BuildOptions build;                 // how each layer is built
  size_t jobs = 1;                    // threads in all
  PlatformChoice platforms;           // more than one: an index of images
  std::optional<IndexMark> index;     // an index with the original images, too
  bool dedupe_image = false;          // lower layers are the dictionary of those above them
  std::vector<std::string> prefetch;  // patterns
  RegistryOptions registry;
  ProgressDisplay::Style progress = ProgressDisplay::Style::none;
  bool reuse = true;                    // layers that were converted before
  std::vector<ImageReference> similar;  // images whose layers may serve, besides the target's
  std::string cache;                    // folder that keeps converted layers; empty = none
};

// What became of one layer, for --report.
struct LayerReport {
  Platform platform;
  Descriptor source;
  Descriptor blob;
  BuildCounters counters;         // zero when it was not converted now
  std::optional<Arrival> reused;  // how the blob of an earlier conversion came to the target
  uint64_t pulled = 0;            // bytes of the source
  uint64_t pushed = 0;            // bytes of the blob that the target lacked
};

struct ConvertReport {
  std::vector<LayerReport> layers;
  uint64_t bootstrap_size = 0;
  uint64_t bootstrap_layer_size = 0;
  Digest root;  // of the manifest or index that the target's name stands for
};

Result<ConvertReport> convert_image(const ImageReference& source, const ImageReference& target,
                                    const ConvertOptions& options);

}  // namespace mkfs
