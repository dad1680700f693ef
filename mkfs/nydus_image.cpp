#include "mkfs/nydus_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "erofs-format/bootstrap/bootstrap_writer.h"
#include "erofs-format/image/bootstrap_layer.h"
#include "mkfs/merge.h"
#include "mkfs/prefetch.h"

namespace mkfs {

namespace {

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
Result<BootstrapLayer> bootstrap_layer(Tree& tree, std::vector<ConvertedLayer>& layers, NydusImage& made) {
  std::vector<LayerFile> files;
  TRY_ASSIGN(Buffer image, drain_to_bootstrap(tree));
  made.bootstrap_size = image.size();
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

}  // namespace

Result<NydusImage> make_nydus_image(const SourceImage& source, std::vector<ConvertedLayer>& layers,
                                    ImageTarget& target, const ConvertOptions& options) {
  NydusImage made;
  TRY_ASSIGN(Tree tree, merge_converted(layers, options));
  std::vector<Descriptor> descriptors;
  for (const ConvertedLayer& layer : layers) descriptors.push_back(layer.blob);
  TRY_ASSIGN(auto foreign, dictionary_blobs(tree, layers, target));
  descriptors.insert(descriptors.end(), foreign.begin(), foreign.end());
  TRY_ASSIGN(BootstrapLayer bootstrap, bootstrap_layer(tree, layers, made));
  TRY_ASSIGN(Descriptor config, add_config(target, source, descriptors, bootstrap.diff_id));
  TRY_ASSIGN(Descriptor last, add_bootstrap_layer(target, bootstrap, source.manifest));
  made.bootstrap_layer_size = last.size;
  descriptors.push_back(std::move(last));
  made.manifest = make_manifest(source, std::move(descriptors), config);
  return made;
}

}  // namespace mkfs
