#include "erofs-format/image/manifest.h"

#include <fmt/format.h>

namespace erofs_format {

namespace {

Result<std::vector<Descriptor>> descriptors_from(const JsonField& list, size_t limit) {
  std::vector<Descriptor> descriptors;
  TRY(list.for_each([&](const JsonField& element) -> Result<void> {
    if (descriptors.size() == limit)
      return make_error(Code::too_large, fmt::format("{}: more than {} entries", list.name(), limit));
    TRY_ASSIGN(Descriptor descriptor, descriptor_from(element));
    descriptors.push_back(std::move(descriptor));
    return {};
  }));
  return descriptors;
}

Result<void> check_schema(const JsonField& root) {
  JsonField version = root.member("schemaVersion");
  TRY_ASSIGN(uint64_t number, version.number());
  if (number != 2)
    return make_error(Code::unsupported, fmt::format("{}: {} is not supported", version.name(), number));
  return {};
}

Json to_json(const std::vector<Descriptor>& descriptors) {
  Json list = Json::array();
  for (const auto& descriptor : descriptors) list.push_back(to_json(descriptor));
  return list;
}

}  // namespace

bool is_manifest_type(std::string_view media_type) {
  return media_type == kOciManifestType || media_type == kDockerManifestType;
}

bool is_index_type(std::string_view media_type) {
  return media_type == kOciIndexType || media_type == kDockerIndexType;
}

bool Manifest::is_nydus() const {
  return !layers.empty() && layers.back().annotations.contains(std::string(kNydusBootstrapAnnotation));
}

Result<Manifest> parse_manifest(ByteView text, const std::string& name) {
  Manifest manifest;
  TRY_ASSIGN(manifest.document, parse_document(text, name));
  JsonField root(manifest.document, name);
  TRY(check_schema(root));
  TRY_ASSIGN(manifest.media_type, root.member("mediaType").optional_text());
  if (manifest.media_type.empty()) manifest.media_type = kOciManifestType;
  if (!is_manifest_type(manifest.media_type))
    return root.member("mediaType")
        .error(fmt::format("'{}' is no image manifest", printable(manifest.media_type)));
  TRY_ASSIGN(manifest.config, descriptor_from(root.member("config")));
  if (!root.member("layers").present()) return root.member("layers").error("missing");
  TRY_ASSIGN(manifest.layers, descriptors_from(root.member("layers"), kMaxLayers));
  TRY_ASSIGN(manifest.annotations, annotations_from(root.member("annotations")));
  return manifest;
}

std::string serialize(const Manifest& manifest) {
  Json document = manifest.document;
  document["schemaVersion"] = 2;
  document["mediaType"] = manifest.media_type;
  document["config"] = to_json(manifest.config);
  document["layers"] = to_json(manifest.layers);
  document.erase("annotations");
  for (const auto& [key, value] : manifest.annotations) document["annotations"][key] = value;
  return serialize(document);
}

Result<Index> parse_index(ByteView text, const std::string& name) {
  Index index;
  TRY_ASSIGN(index.document, parse_document(text, name));
  JsonField root(index.document, name);
  TRY(check_schema(root));
  if (!root.member("manifests").present()) return root.member("manifests").error("missing");
  TRY_ASSIGN(index.manifests, descriptors_from(root.member("manifests"), kMaxManifests));
  return index;
}

std::string serialize(const Index& index) {
  Json document = index.document;
  document["schemaVersion"] = 2;
  document["manifests"] = to_json(index.manifests);
  return serialize(document);
}

void ImageConfig::set_diff_ids(std::vector<Digest> ids) {
  diff_ids = std::move(ids);
  Json list = Json::array();
  for (const auto& id : diff_ids) list.push_back(digest_text(id));
  document["rootfs"]["diff_ids"] = std::move(list);
}

void ImageConfig::add_history(std::string_view created_by, std::string_view comment) {
  Json entry = Json::object();
  // The time of the image itself, so that converting again gives the same bytes.
  if (document.contains("created")) entry["created"] = document["created"];
  entry["created_by"] = created_by;
  entry["comment"] = comment;
  if (!document.contains("history") || !document["history"].is_array()) document["history"] = Json::array();
  document["history"].push_back(std::move(entry));
}

Result<ImageConfig> parse_config(ByteView text, const std::string& name) {
  ImageConfig config;
  TRY_ASSIGN(config.document, parse_document(text, name));
  JsonField root(config.document, name);
  TRY_ASSIGN(config.platform, platform_from(root));
  JsonField rootfs = root.member("rootfs");
  TRY(rootfs.require_object());
  if (!rootfs.member("diff_ids").present()) return rootfs.member("diff_ids").error("missing");
  TRY(rootfs.member("diff_ids").for_each([&](const JsonField& element) -> Result<void> {
    if (config.diff_ids.size() == kMaxLayers)
      return make_error(Code::too_large, fmt::format("{}: more than {} layers", name, kMaxLayers));
    TRY_ASSIGN(std::string id, element.text());
    auto digest = parse_digest(id);
    if (!digest) return std::move(digest).error().within(element.name());
    config.diff_ids.push_back(*digest);
    return {};
  }));
  return config;
}

std::string serialize(const ImageConfig& config) { return serialize(config.document); }

}  // namespace erofs_format
