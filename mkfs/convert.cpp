#include "mkfs/convert.h"

#include "erofs-format/base/log.h"
#include "mkfs/layer_run.h"
#include "mkfs/publish_image.h"

namespace mkfs {

namespace {

// Where layers that were converted before may be.
Result<void> find_layers(KnownLayers& known, const ImageReference& target, const ConvertOptions& options) {
  if (!options.reuse) return {};
  for (const ImageReference& image : options.similar) TRY(known.look_at(image));
  // Who may write there need not be able to read.
  if (auto looked = known.look_around(target); !looked)
    log_line(LogLevel::warn, "convert", looked.error().message + "; no layers are reused from there");
  return {};
}

std::vector<LayerIdentity> wanted_layers(const std::vector<SourceImage>& images,
                                         const ConvertOptions& options) {
  std::vector<LayerIdentity> wanted;
  std::string build = build_words(options.build);
  for (const SourceImage& image : images)
    for (const Digest& diff_id : image.config.diff_ids) wanted.push_back({diff_id, build});
  return wanted;
}

void add_report(ConvertReport& report, const MadeImage& made, const std::vector<ConvertedLayer>& layers) {
  report.bootstrap_size += made.nydus.bootstrap_size;
  report.bootstrap_layer_size += made.nydus.bootstrap_layer_size;
  for (const ConvertedLayer& layer : layers) {
    report.layers.push_back(layer.report);
    report.layers.back().platform = made.source->config.platform;
  }
}

}  // namespace

Result<ConvertReport> convert_image(const ImageReference& source, const ImageReference& target,
                                    const ConvertOptions& options) {
  ConvertReport report;
  ImagePlaces places(options.registry);
  TRY_ASSIGN(ImagePlaces::Source opened, places.source(source));
  TRY_ASSIGN(std::vector<SourceImage> images, open_images(*opened.store, opened.root, options.platforms));
  TRY_ASSIGN(std::unique_ptr<ImageTarget> into, places.target(target));
  std::unique_ptr<LayerCache> cache;
  if (!options.cache.empty()) {
    TRY_ASSIGN(cache, LayerCache::open(options.cache));
  }
  KnownLayers known(places, wanted_layers(images, options));
  TRY(find_layers(known, target, options));
  std::vector<MadeImage> made;
  for (const SourceImage& image : images) {
    TRY_ASSIGN(auto layers, LayerRun(*opened.store, image, *into, options, known, cache.get()).run());
    TRY_ASSIGN(NydusImage nydus, make_nydus_image(image, layers, *into, options));
    made.push_back({&image, std::move(nydus)});
    add_report(report, made.back(), layers);
  }
  TRY_ASSIGN(report.root,
             publish_images(std::move(made), *opened.store, *into, options, ImagePlaces::tag_of(target)));
  return report;
}

}  // namespace mkfs
