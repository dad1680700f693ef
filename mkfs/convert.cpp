#include "mkfs/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <thread>

#include "erofs-format/base/log.h"
#include "erofs-format/bootstrap/bootstrap_writer.h"
#include "erofs-format/image/bootstrap_layer.h"
#include "mkfs/convert_layer.h"
#include "mkfs/dictionary.h"
#include "mkfs/merge.h"
#include "mkfs/prefetch.h"

namespace mkfs {

namespace {

// More would need memory without bound and help nobody: each fills the pool.
constexpr size_t kLayersAtOnce = 4;

// The image to convert, with everything that says what its layers must be.
struct SourceImage {
  std::unique_ptr<ImageStore> store;
  Descriptor descriptor;
  Manifest manifest;
  ImageConfig config;
};

Result<SourceImage> open_source(ImagePlaces::Source source, const ConvertOptions& options) {
  SourceImage image;
  image.store = std::move(source.store);
  Platform platform = options.platform.value_or(host_platform());
  TRY_ASSIGN(image.descriptor, image.store->find_manifest(source.root, platform));
  std::string name = "manifest " + digest_text(image.descriptor.digest);
  TRY_ASSIGN(Buffer text, image.store->read_blob(image.descriptor));
  TRY_ASSIGN(image.manifest, parse_manifest(text, name));
  if (image.manifest.is_nydus())
    return make_error(Code::invalid_argument, name + ": is a Nydus image already");
  std::string config_name = "config " + digest_text(image.manifest.config.digest);
  TRY_ASSIGN(Buffer config, image.store->read_blob(image.manifest.config));
  TRY_ASSIGN(image.config, parse_config(config, config_name));
  if (options.platform && !image.config.platform.serves(*options.platform))
    return make_error(Code::not_found,
                      fmt::format("{}: is for {}, not {}", config_name,
                                  printable(to_string(image.config.platform)), to_string(*options.platform)));
  if (image.config.diff_ids.size() != image.manifest.layers.size())
    return make_error(Code::corrupt, fmt::format("{}: {} diff_ids for {} layers", config_name,
                                                 image.config.diff_ids.size(), image.manifest.layers.size()));
  if (image.manifest.layers.empty()) return make_error(Code::corrupt, name + ": has no layers");
  return image;
}

// Layers in parallel, sharing one pool.
class LayerRun {
 public:
  LayerRun(const SourceImage& image, ImageTarget& target, const ConvertOptions& options,
           const KnownLayers& known, const LayerCache* cache)
      : options_(options), known_(known), pool_(options.jobs), context_{*image.store, target, pool_, cache} {
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

  Result<std::vector<ConvertedLayer>> run() {
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

 private:
  void work() {
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

  static void tell_end(LayerProgress& progress, const Result<ConvertedLayer>& layer) {
    progress.outcome = !layer                 ? "not converted"
                       : layer->report.reused ? fmt::format("reused ({})", to_string(*layer->report.reused))
                                              : "converted";
    progress.state = LayerProgress::State::done;
  }

  // An earlier conversion's layer that does not serve is made once more.
  Result<ConvertedLayer> make_layer(const SourceLayer& layer, const BuildOptions& build) {
    if (auto known = find_known({layer.diff_id, build_words(build)})) {
      auto reused = reuse_layer(context_, layer, build, *known);
      if (reused) return reused;
      log_line(LogLevel::warn, "convert", reused.error().message + "; converted again");
    }
    return convert_layer(context_, layer, build);
  }

  std::optional<KnownLayer> find_known(const LayerIdentity& identity) const {
    if (!options_.reuse) return std::nullopt;
    if (const KnownLayer* known = known_.find(identity)) return *known;
    return context_.cache ? context_.cache->find(identity) : std::nullopt;
  }

  std::unique_ptr<Dictionary> lower_layers() const {
    if (!options_.dedupe_image) return nullptr;
    Tree copy;
    copy.blobs = lower_.blobs;
    copy.chunks = lower_.chunks;
    return std::make_unique<Dictionary>(std::move(copy));
  }

  // The error that stopped the run, not those that followed from stopping.
  Result<std::vector<ConvertedLayer>> collect() {
    for (auto& layer : done_)
      if (layer && !*layer && layer->error().code != Code::cancelled) return std::move(*layer).error();
    std::vector<ConvertedLayer> layers;
    for (auto& layer : done_) {
      if (!layer || !*layer) return make_error(Code::cancelled, "convert: stopped");
      layers.push_back(std::move(**layer));
    }
    return layers;
  }

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

Result<Tree> merge_converted(std::vector<ConvertedLayer>& layers, const ConvertOptions& options) {
  std::vector<MergeLayer> list;
  for (size_t i = 0; i < layers.size(); i++)
    list.push_back({fmt::format("layer {}", i + 1), std::move(layers[i].tree)});
  TRY_ASSIGN(Tree tree,
             merge_layers(std::move(list), {.keep_lowest_whiteouts = false, .guess_implied = false}));
  tree.prefetch = resolve_prefetch(tree, options.prefetch);
  return tree;
}

// Blobs of a chunk dictionary that the image needs besides its own: they travel with it, so the target
// must have them.
Result<std::vector<Descriptor>> dictionary_blobs(const Tree& tree, const std::vector<ConvertedLayer>& layers,
                                                 ImageTarget& target) {
  std::vector<Descriptor> found;
  for (const Blob& blob : tree.blobs) {
    auto own = [&](const ConvertedLayer& layer) { return to_hex(layer.blob.digest) == blob.id; };
    if (std::any_of(layers.begin(), layers.end(), own)) continue;
    TRY_ASSIGN(Digest digest, digest_from_hex(blob.id));
    Result<uint64_t> size = target.blob_size(digest);
    if (!size) return std::move(size).error().within("a blob of the chunk dictionary");
    found.push_back(blob_descriptor(digest, *size));
  }
  return found;
}

// Bootstrap and chunk tables, as the layer that comes last.
Result<BootstrapLayer> bootstrap_layer(Tree& tree, std::vector<ConvertedLayer>& layers,
                                       ConvertReport& report) {
  std::vector<LayerFile> files;
  TRY_ASSIGN(Buffer image, drain_to_bootstrap(tree));
  report.bootstrap_size = image.size();
  files.push_back({"image.boot", std::move(image)});
  std::set<Digest> known;
  for (ConvertedLayer& layer : layers)
    if (!layer.chunk_table.empty() && known.insert(layer.blob.digest).second)
      files.push_back({to_hex(layer.blob.digest) + ".blob.meta", std::move(layer.chunk_table)});
  return make_bootstrap_layer(files);
}

Result<Descriptor> add_bootstrap_layer(ImageTarget& target, const BootstrapLayer& layer,
                                       const Manifest& source) {
  bool docker = source.media_type == kDockerManifestType;
  TRY_ASSIGN(Descriptor descriptor,
             target.add_bytes(layer.gzip, std::string(docker ? kDockerGzipLayerType : kOciGzipLayerType)));
  descriptor.annotations[std::string(kNydusBootstrapAnnotation)] = "true";
  descriptor.annotations[std::string(kNydusFsVersionAnnotation)] = "6";
  return descriptor;
}

Result<Descriptor> add_config(ImageTarget& target, const SourceImage& source,
                              const std::vector<Descriptor>& blobs, const Digest& bootstrap) {
  ImageConfig config = source.config;
  std::vector<Digest> diff_ids;
  diff_ids.reserve(blobs.size() + 1);
  for (const Descriptor& blob : blobs) diff_ids.push_back(blob.digest);
  diff_ids.push_back(bootstrap);
  // Readers count histories against layers.
  for (size_t i = source.manifest.layers.size(); i < blobs.size(); i++)
    config.add_history("Nydus Converter", "Nydus Chunk Dictionary Layer");
  config.set_diff_ids(std::move(diff_ids));
  config.add_history("Nydus Converter", "Nydus Bootstrap Layer");
  TRY_ASSIGN(Descriptor added,
             target.add_bytes(as_bytes(serialize(config)), source.manifest.config.media_type));
  Descriptor descriptor = source.manifest.config;
  descriptor.digest = added.digest;
  descriptor.size = added.size;
  return descriptor;
}

Manifest make_manifest(const SourceImage& source, std::vector<Descriptor> layers, const Descriptor& config) {
  Manifest manifest = source.manifest;
  manifest.config = config;
  manifest.layers = std::move(layers);
  manifest.annotations[std::string(kNydusSourceDigestAnnotation)] = digest_text(source.descriptor.digest);
  manifest.annotations[std::string(kNydusFsVersionAnnotation)] = "6";
  return manifest;
}

Json platform_json(const Platform& platform) {
  Json object = {{"architecture", platform.architecture}, {"os", platform.os}};
  if (!platform.variant.empty()) object["variant"] = platform.variant;
  return object;
}

// Where layers that were converted before may be.
Result<void> find_layers(KnownLayers& known, const ImageReference& target, const ConvertOptions& options) {
  if (!options.reuse) return {};
  for (const ImageReference& image : options.similar) TRY(known.look_at(image));
  // Who may write there need not be able to read.
  if (auto looked = known.look_around(target); !looked)
    log_line(LogLevel::warn, "convert", looked.error().message + "; no layers are reused from there");
  return {};
}

std::vector<LayerIdentity> wanted_layers(const SourceImage& image, const ConvertOptions& options) {
  std::vector<LayerIdentity> wanted;
  for (const Digest& diff_id : image.config.diff_ids) wanted.push_back({diff_id, build_words(options.build)});
  return wanted;
}

}  // namespace

Result<ConvertReport> convert_image(const ImageReference& source, const ImageReference& target,
                                    const ConvertOptions& options) {
  ConvertReport report;
  ImagePlaces places(options.registry);
  TRY_ASSIGN(ImagePlaces::Source opened, places.source(source));
  TRY_ASSIGN(SourceImage image, open_source(std::move(opened), options));
  TRY_ASSIGN(std::unique_ptr<ImageTarget> into, places.target(target));
  std::unique_ptr<LayerCache> cache;
  if (!options.cache.empty()) {
    TRY_ASSIGN(cache, LayerCache::open(options.cache));
  }
  KnownLayers known(places, wanted_layers(image, options));
  TRY(find_layers(known, target, options));
  TRY_ASSIGN(auto layers, LayerRun(image, *into, options, known, cache.get()).run());
  TRY_ASSIGN(Tree tree, merge_converted(layers, options));
  TRY_ASSIGN(BootstrapLayer bootstrap, bootstrap_layer(tree, layers, report));

  std::vector<Descriptor> descriptors;
  for (const ConvertedLayer& layer : layers) descriptors.push_back(layer.blob);
  TRY_ASSIGN(auto foreign, dictionary_blobs(tree, layers, *into));
  descriptors.insert(descriptors.end(), foreign.begin(), foreign.end());
  TRY_ASSIGN(Descriptor config, add_config(*into, image, descriptors, bootstrap.diff_id));
  TRY_ASSIGN(Descriptor last, add_bootstrap_layer(*into, bootstrap, image.manifest));
  report.bootstrap_layer_size = last.size;
  descriptors.push_back(std::move(last));
  for (const ConvertedLayer& layer : layers) report.layers.push_back(layer.report);
  Manifest manifest = make_manifest(image, std::move(descriptors), config);
  std::string text = serialize(manifest);
  Descriptor descriptor = describe_bytes(as_bytes(text), manifest.media_type);
  report.manifest = descriptor.digest;
  descriptor.document["platform"] = platform_json(image.config.platform);
  TRY(into->publish(std::move(descriptor), as_bytes(text), ImagePlaces::tag_of(target)));
  return report;
}

}  // namespace mkfs
