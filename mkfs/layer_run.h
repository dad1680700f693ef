// All layers of one image, several at once, sharing one pool.
#pragma once

#include <atomic>
#include <deque>
#include <optional>
#include <vector>

#include "mkfs/convert_layer.h"
#include "mkfs/source_image.h"

namespace mkfs {

class LayerRun {
 public:
  // The references outlive the run.
  LayerRun(const ImageStore& store, const SourceImage& image, ImageTarget& target,
           const ConvertOptions& options, const KnownLayers& known, const LayerCache* cache);
  Result<std::vector<ConvertedLayer>> run();

 private:
  void work();
  Result<ConvertedLayer> make_layer(const SourceLayer& layer, const BuildOptions& build);
  std::optional<KnownLayer> find_known(const LayerIdentity& identity) const;
  std::unique_ptr<Dictionary> lower_layers() const;
  Result<std::vector<ConvertedLayer>> collect();

  const ConvertOptions& options_;
  std::deque<LayerProgress> progress_;
  std::vector<SourceLayer> layers_;
  std::vector<std::optional<Result<ConvertedLayer>>> done_;
  Tree lower_;  // blobs and chunks of the layers so far, for --dedupe image
  std::atomic<size_t> next_ = 0;
  const KnownLayers& known_;
  WorkerPool pool_;
  LayerContext context_;
};

}  // namespace mkfs
