// How an index says which of its images is the Nydus one (nydus-rafs-v6.md 3.2).
#pragma once

#include "erofs-format/image/manifest.h"

namespace erofs_format {

inline constexpr std::string_view kNydusArtifactType = "application/vnd.nydus.image.manifest.v1+json";
// With it the configuration is not of the kind either that ordinary clients unpack.
inline constexpr std::string_view kNydusConfigType = "application/vnd.nydus.image.config.v1+json";
inline constexpr std::string_view kNydusFeature = "nydus.remoteimage.v1";

// In either way.
bool is_marked_nydus(const Descriptor& entry);

}  // namespace erofs_format
