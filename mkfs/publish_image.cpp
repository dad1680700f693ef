#include "mkfs/publish_image.h"

#include "erofs-format/image/image_marks.h"

namespace mkfs {

namespace {

Json platform_json(const Platform& platform) {
  Json object = {{"architecture", platform.architecture}, {"os", platform.os}};
  if (!platform.variant.empty()) object["variant"] = platform.variant;
  return object;
}

// As its index knew the image; a lone manifest's configuration says it.
Json platform_of(const SourceImage& image) {
  auto said = image.descriptor.document.find("platform");
  return said != image.descriptor.document.end() ? *said : platform_json(image.config.platform);
}

struct Document {
  Descriptor descriptor;
  std::string text;
};

Document document_of(const MadeImage& image) {
  Document document;
  document.text = serialize(image.nydus.manifest);
  document.descriptor = describe_bytes(as_bytes(document.text), image.nydus.manifest.media_type);
  document.descriptor.document["platform"] = platform_of(*image.source);
  return document;
}

// The ordinary image, with all it needs.
Result<Descriptor> add_original(const SourceImage& image, const ImageStore& store, ImageTarget& target) {
  std::string name = "original image " + digest_text(image.descriptor.digest);
  TRY_ASSIGN(Arrival config, target.take(image.manifest.config, store, name, not_watched));
  (void)config;
  for (const Descriptor& layer : image.manifest.layers) {
    TRY_ASSIGN(Arrival arrival, target.take(layer, store, name, not_watched));
    (void)arrival;
  }
  TRY(target.add_document(image.descriptor, image.text));
  Descriptor entry = describe_bytes(image.text, image.manifest.media_type);
  entry.document["platform"] = platform_of(image);
  return entry;
}

// Clients that know nothing of Nydus are to choose the original beside it.
Result<Descriptor> add_marked(MadeImage& image, ImageTarget& target, IndexMark mark) {
  if (mark == IndexMark::artifact_type) image.nydus.manifest.config.media_type = kNydusConfigType;
  Document document = document_of(image);
  if (mark == IndexMark::artifact_type) document.descriptor.document["artifactType"] = kNydusArtifactType;
  if (mark == IndexMark::os_features)
    document.descriptor.document["platform"]["os.features"] = Json::array({std::string(kNydusFeature)});
  TRY(target.add_document(document.descriptor, as_bytes(document.text)));
  return document.descriptor;
}

}  // namespace

Result<Digest> publish_images(std::vector<MadeImage> images, const ImageStore& store, ImageTarget& target,
                              const ConvertOptions& options, const std::string& tag) {
  if (images.size() == 1 && !options.index) {
    Document document = document_of(images[0]);
    Digest digest = document.descriptor.digest;
    TRY(target.publish(std::move(document.descriptor), as_bytes(document.text), tag));
    return digest;
  }
  Index index;
  index.document["schemaVersion"] = 2;
  index.document["mediaType"] = kOciIndexType;
  for (MadeImage& image : images) {
    if (options.index) {
      TRY_ASSIGN(Descriptor original, add_original(*image.source, store, target));
      index.manifests.push_back(std::move(original));
    }
    TRY_ASSIGN(Descriptor entry, add_marked(image, target, options.index.value_or(IndexMark::none)));
    index.manifests.push_back(std::move(entry));
  }
  std::string text = serialize(index);
  Descriptor root = describe_bytes(as_bytes(text), std::string(kOciIndexType));
  Digest digest = root.digest;
  TRY(target.publish(std::move(root), as_bytes(text), tag));
  return digest;
}

}  // namespace mkfs
