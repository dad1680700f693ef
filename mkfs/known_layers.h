// Layers that were converted before, wherever images say that they have them.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "mkfs/image_places.h"
#include "mkfs/layer_identity.h"

namespace mkfs {

struct KnownLayer {
  Descriptor blob;
  std::shared_ptr<const ImageStore> store;  // which has it
};

class KnownLayers {
 public:
  // `wanted`: no image is asked for any more when all of these are known.
  KnownLayers(ImagePlaces& places, std::vector<LayerIdentity> wanted)
      : places_(places), wanted_(std::move(wanted)) {}

  // The layers of one image, of all its platforms. That there is no such image is no error.
  Result<void> look_at(const ImageReference& image);
  // The image `target` names, then others of its repository or folder, the highest version first, at most
  // kTagsLooked.
  Result<void> look_around(const ImageReference& target);
  // The first that was found; null if none was.
  const KnownLayer* find(const LayerIdentity& identity) const;

  static constexpr size_t kTagsLooked = 16;

 private:
  bool complete() const;
  Result<void> take_manifest(const std::shared_ptr<const ImageStore>& store, const Descriptor& manifest);

  ImagePlaces& places_;
  const std::vector<LayerIdentity> wanted_;
  std::map<LayerIdentity, KnownLayer> layers_;
};

}  // namespace mkfs
