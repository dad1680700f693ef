// A folder that keeps converted layers: `layers/HEX` is the descriptor of the layer whose identity has that
// SHA-256, `blobs/sha256/HEX` a blob. Whoever takes files away only makes it forget; what was used last has
// the latest times.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mkfs/known_layers.h"

namespace mkfs {

class LayerCache {
 public:
  // The folder is made when missing.
  static Result<std::unique_ptr<LayerCache>> open(const std::string& path);

  std::optional<KnownLayer> find(const LayerIdentity& identity) const;
  // Copies the blob out of `blob_fd`. Safe from several threads, and processes.
  Result<void> add(const LayerIdentity& identity, const Descriptor& blob, int blob_fd) const;

 private:
  explicit LayerCache(const std::string& path);
  std::string descriptor_path(const LayerIdentity& identity) const;

  std::string path_;
  std::shared_ptr<const ImageStore> blobs_;
};

}  // namespace mkfs
