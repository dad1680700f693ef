#include "mkfs/layer_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "erofs-format/base/log.h"

namespace mkfs {

namespace {

// More would need memory without bound and help nobody: each fills the pool.
constexpr size_t kLayersAtOnce = 4;

void tell_end(LayerProgress& progress, const Result<ConvertedLayer>& layer) {
  progress.outcome = !layer                 ? "not converted"
                     : layer->report.reused ? fmt::format("reused ({})", to_string(*layer->report.reused))
                                            : "converted";
  progress.state = LayerProgress::State::done;
}

}  // namespace

LayerRun::LayerRun(const ImageStore& store, const SourceImage& image, ImageTarget& target,
                   const ConvertOptions& options, const KnownLayers& known, const LayerCache* cache)
    : options_(options), known_(known), pool_(options.jobs), context_{store, target, pool_, cache} {
  for (size_t i = 0; i < image.manifest.layers.size(); i++) {
    const Descriptor& descriptor = image.manifest.layers[i];
    LayerProgress& progress = progress_.emplace_back();
    progress.label = fmt::format("layer {} ({})", i + 1, to_hex(descriptor.digest).substr(0, 12));
    progress.source_size = descriptor.size;
    layers_.push_back({descriptor, image.config.diff_ids[i],
                       fmt::format("layer {} ({})", i + 1, digest_text(descriptor.digest)), progress});
  }
  done_.resize(layers_.size());
}

Result<std::vector<ConvertedLayer>> LayerRun::run() {
  std::vector<LayerProgress*> shown;
  for (LayerProgress& progress : progress_) shown.push_back(&progress);
  ProgressDisplay display(options_.progress, std::move(shown));
  // With lower layers as dictionary each has to wait for those below it.
  size_t at_once = options_.dedupe_image ? 1 : std::min({options_.jobs, layers_.size(), kLayersAtOnce});
  std::vector<std::thread> threads;
  for (size_t i = 1; i < at_once; i++) threads.emplace_back([this] { work(); });
  work();
  for (auto& thread : threads) thread.join();
  return collect();
}

void LayerRun::work() {
  for (size_t i = next_++; i < layers_.size() && !context_.stop; i = next_++) {
    BuildOptions build = options_.build;
    std::unique_ptr<Dictionary> lower = lower_layers();
    if (lower) build.chunks.dictionary = lower.get();
    layers_[i].progress.state = LayerProgress::State::active;
    done_[i].emplace(make_layer(layers_[i], build));
    tell_end(layers_[i].progress, *done_[i]);
    if (!*done_[i]) {
      context_.stop = true;
    } else if (options_.dedupe_image) {
      add_chunks(lower_, (*done_[i])->tree);
    }
  }
}

// An earlier conversion's layer that does not serve is made once more.
Result<ConvertedLayer> LayerRun::make_layer(const SourceLayer& layer, const BuildOptions& build) {
  TRY(check_media_type(layer));
  if (auto known = find_known({layer.diff_id, build_words(build)})) {
    auto reused = reuse_layer(context_, layer, build, *known);
    if (reused) return reused;
    log_line(LogLevel::warn, "convert", reused.error().message + "; converted again");
  }
  return convert_layer(context_, layer, build);
}

std::optional<KnownLayer> LayerRun::find_known(const LayerIdentity& identity) const {
  if (!options_.reuse) return std::nullopt;
  if (const KnownLayer* known = known_.find(identity)) return *known;
  return context_.cache ? context_.cache->find(identity) : std::nullopt;
}

std::unique_ptr<Dictionary> LayerRun::lower_layers() const {
  if (!options_.dedupe_image) return nullptr;
  Tree copy;
  copy.blobs = lower_.blobs;
  copy.chunks = lower_.chunks;
  return std::make_unique<Dictionary>(std::move(copy));
}

// The error that stopped the run, not those that followed from stopping.
Result<std::vector<ConvertedLayer>> LayerRun::collect() {
  for (auto& layer : done_)
    if (layer && !*layer && layer->error().code != Code::cancelled) return std::move(*layer).error();
  std::vector<ConvertedLayer> layers;
  for (auto& layer : done_) {
    if (!layer || !*layer) return make_error(Code::cancelled, "convert: stopped");
    layers.push_back(std::move(**layer));
  }
  return layers;
}

}  // namespace mkfs
