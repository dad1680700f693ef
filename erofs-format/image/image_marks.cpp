#include "erofs-format/image/image_marks.h"

namespace erofs_format {

bool is_marked_nydus(const Descriptor& entry) {
  const Json& document = entry.document;
  if (document.value("artifactType", Json()) == kNydusArtifactType) return true;
  auto platform = document.find("platform");
  if (platform == document.end() || !platform->is_object()) return false;
  auto features = platform->find("os.features");
  if (features == platform->end() || !features->is_array()) return false;
  for (const Json& feature : *features)
    if (feature == kNydusFeature) return true;
  return false;
}

}  // namespace erofs_format
