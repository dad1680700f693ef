#include "mkfs/known_layers.h"

#include <algorithm>
#include <cstring>

namespace mkfs {

namespace {

// Of one index: far more platforms than there are.
constexpr size_t kManifestsLooked = 64;

}  // namespace

bool KnownLayers::complete() const {
  return std::all_of(wanted_.begin(), wanted_.end(),
                     [&](const LayerIdentity& identity) { return layers_.contains(identity); });
}

Result<void> KnownLayers::take_manifest(const std::shared_ptr<const ImageStore>& store,
                                        const Descriptor& descriptor) {
  TRY_ASSIGN(Manifest manifest, store->open_manifest(descriptor));
  for (const Descriptor& layer : manifest.layers)
    if (auto identity = identity_of(layer))
      layers_.try_emplace(std::move(*identity), KnownLayer{layer, store});
  return {};
}

Result<void> KnownLayers::look_at(const ImageReference& image) {
  auto opened = places_.source(image);
  if (!opened) return opened.error().code == Code::not_found ? Result<void>() : std::move(opened).error();
  std::shared_ptr<const ImageStore> store = std::move(opened->store);
  if (!is_index_type(opened->root.media_type)) return take_manifest(store, opened->root);
  TRY_ASSIGN(Index index, store->open_index(opened->root, 1));
  size_t count = 0;
  for (const Descriptor& manifest : index.manifests)
    if (is_manifest_type(manifest.media_type) && count++ < kManifestsLooked)
      TRY(take_manifest(store, manifest));
  return {};
}

Result<void> KnownLayers::look_around(const ImageReference& target) {
  ImageReference image = target;
  image.tag = ImagePlaces::tag_of(target);
  bool one_image =
      target.transport == Transport::oci_archive || target.transport == Transport::docker_archive;
  if (one_image || !image.tag.empty()) TRY(look_at(image));
  if (complete()) return {};
  auto tags = places_.tags(target);
  if (!tags) return tags.error().code == Code::not_found ? Result<void>() : std::move(tags).error();
  std::erase(*tags, image.tag);
  std::sort(tags->begin(), tags->end(), [](const std::string& a, const std::string& b) {
    return ::strverscmp(a.c_str(), b.c_str()) > 0;
  });
  if (tags->size() > kTagsLooked) tags->resize(kTagsLooked);
  for (const std::string& tag : *tags) {
    if (complete()) return {};
    image.tag = tag;
    TRY(look_at(image));
  }
  return {};
}

const KnownLayer* KnownLayers::find(const LayerIdentity& identity) const {
  auto found = layers_.find(identity);
  return found == layers_.end() ? nullptr : &found->second;
}

}  // namespace mkfs
