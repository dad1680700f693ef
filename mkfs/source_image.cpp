#include "mkfs/source_image.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/options.h"
#include "erofs-format/image/image_marks.h"

namespace mkfs {

namespace {

Result<SourceImage> open_image(const ImageStore& store, Descriptor descriptor) {
  SourceImage image;
  image.descriptor = std::move(descriptor);
  std::string name = "manifest " + digest_text(image.descriptor.digest);
  TRY_ASSIGN(image.text, store.read_blob(image.descriptor));
  TRY_ASSIGN(image.manifest, parse_manifest(image.text, name));
  if (image.manifest.is_nydus())
    return make_error(Code::invalid_argument, name + ": is a Nydus image already");
  std::string config_name = "config " + digest_text(image.manifest.config.digest);
  TRY_ASSIGN(Buffer config, store.read_blob(image.manifest.config));
  TRY_ASSIGN(image.config, parse_config(config, config_name));
  if (image.config.diff_ids.size() != image.manifest.layers.size())
    return make_error(Code::corrupt, fmt::format("{}: {} diff_ids for {} layers", config_name,
                                                 image.config.diff_ids.size(), image.manifest.layers.size()));
  if (image.manifest.layers.empty()) return make_error(Code::corrupt, name + ": has no layers");
  return image;
}

Result<void> list_manifests(const ImageStore& store, const Descriptor& start, int depth,
                            std::vector<Descriptor>& found) {
  TRY_ASSIGN(Index index, store.open_index(start, depth));
  for (const Descriptor& entry : index.manifests) {
    if (is_index_type(entry.media_type)) TRY(list_manifests(store, entry, depth + 1, found));
    bool image = is_manifest_type(entry.media_type) && entry.platform && entry.platform->os != "unknown";
    auto known = [&](const Descriptor& other) { return other.digest == entry.digest; };
    if (!image || is_marked_nydus(entry) || std::any_of(found.begin(), found.end(), known)) continue;
    if (found.size() == kMaxManifests)
      return make_error(Code::too_large, fmt::format("index {}: more than {} images",
                                                     digest_text(start.digest), kMaxManifests));
    found.push_back(entry);
  }
  return {};
}

// Who asked for a platform does not take what a lone manifest, or a wrong index, gives instead.
Result<void> check_platform(const SourceImage& image, const Platform& wanted) {
  if (image.config.platform.serves(wanted)) return {};
  return make_error(Code::not_found,
                    fmt::format("config {}: is for {}, not {}", digest_text(image.manifest.config.digest),
                                printable(to_string(image.config.platform)), to_string(wanted)));
}

}  // namespace

Result<std::vector<SourceImage>> open_images(const ImageStore& store, const Descriptor& root,
                                             const PlatformChoice& choice) {
  std::vector<Descriptor> chosen;
  if (!is_index_type(root.media_type)) {
    chosen.assign(std::max<size_t>(choice.wanted.size(), 1), root);
  } else if (choice.all) {
    TRY(list_manifests(store, root, 1, chosen));
    if (chosen.empty())
      return make_error(Code::not_found,
                        fmt::format("index {}: holds no image to convert", digest_text(root.digest)));
  } else {
    std::vector<Platform> wanted = choice.wanted;
    if (wanted.empty()) wanted.push_back(host_platform());
    for (const Platform& platform : wanted) {
      TRY_ASSIGN(Descriptor found, store.find_manifest(root, platform));
      chosen.push_back(std::move(found));
    }
  }
  std::vector<SourceImage> images;
  for (size_t i = 0; i < chosen.size(); i++) {
    TRY_ASSIGN(SourceImage image, open_image(store, std::move(chosen[i])));
    if (!choice.wanted.empty()) TRY(check_platform(image, choice.wanted[i]));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace mkfs
