#include "erofs-format/image/nydus_manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/image/image_marks.h"
#include "erofs-format/image/read_bootstrap_layer.h"

namespace erofs_format {

namespace {

std::string artifact_type(const Descriptor& entry) {
  auto found = entry.document.find("artifactType");
  return found != entry.document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The manifests below an index that are for `platform`, in the order in which they stand.
Result<void> collect(const ImageStore& store, const Descriptor& start, const Platform& platform, int depth,
                     std::vector<Descriptor>& found) {
  TRY_ASSIGN(Index index, store.open_index(start, depth));
  for (const Descriptor& entry : index.manifests) {
    if (found.size() >= kMaxManifestsTried) break;
    if (entry.platform && !entry.platform->serves(platform)) continue;
    if (is_index_type(entry.media_type)) {
      TRY(collect(store, entry, platform, depth + 1, found));
    } else if (is_manifest_type(entry.media_type)) {
      found.push_back(entry);
    }
  }
  return {};
}

// Signatures and their kin refer to images as well.
bool may_be_image(const Descriptor& referrer) {
  std::string type = artifact_type(referrer);
  return is_manifest_type(referrer.media_type) &&
         (type.empty() || type == kNydusArtifactType || type == kNydusConfigType || type == kOciConfigType);
}

// Whose subject is another image is not its Nydus image, whoever lists it there.
bool refers_to(const Manifest& manifest, const Digest& digest) {
  auto subject = manifest.document.find("subject");
  return subject != manifest.document.end() && subject->is_object() &&
         subject->value("digest", Json()) == digest_text(digest);
}

Result<std::optional<Manifest>> find_referrer(const ImageStore& store, const Descriptor& original) {
  TRY_ASSIGN(std::vector<Descriptor> referrers, store.referrers(original.digest));
  size_t tried = 0;
  for (const Descriptor& referrer : referrers) {
    if (!may_be_image(referrer)) continue;
    if (tried++ == kMaxManifestsTried) break;
    TRY_ASSIGN(Manifest manifest, store.open_manifest(referrer));
    if (manifest.is_nydus() && refers_to(manifest, original.digest))
      return std::optional(std::move(manifest));
  }
  return std::optional<Manifest>();
}

}  // namespace

Result<Manifest> find_nydus_manifest(const ImageStore& store, const Descriptor& root,
                                     const Platform& platform, const std::string& name) {
  std::vector<Descriptor> candidates;
  if (is_index_type(root.media_type)) {
    TRY(collect(store, root, platform, 1, candidates));
    std::stable_partition(candidates.begin(), candidates.end(), is_marked_nydus);
  } else {
    candidates.push_back(root);
  }
  const Descriptor* original = nullptr;
  for (const Descriptor& candidate : candidates) {
    TRY_ASSIGN(Manifest manifest, store.open_manifest(candidate));
    if (manifest.is_nydus()) return manifest;
    if (original == nullptr && !is_marked_nydus(candidate)) original = &candidate;
  }
  if (original == nullptr)
    return make_error(Code::not_found, fmt::format("{}: no image for {}", name, to_string(platform)));
  TRY_ASSIGN(std::optional<Manifest> referrer, find_referrer(store, *original));
  if (referrer) return std::move(*referrer);
  return make_error(Code::unsupported,
                    fmt::format("{0}: an ordinary image, not a Nydus one for {1}; convert it first: "
                                "mkfs.nydus-erofs convert {0} TARGET",
                                name, to_string(platform)));
}

Result<Buffer> read_bootstrap(const ImageStore& store, const Manifest& manifest, const std::string& name) {
  const Descriptor& layer = manifest.layers.back();
  TRY_ASSIGN(Buffer bytes, store.read_blob(layer, kMaxBootstrapLayerBytes));
  return read_bootstrap_layer(bytes, fmt::format("{}: bootstrap layer {}", name, digest_text(layer.digest)));
}

}  // namespace erofs_format
