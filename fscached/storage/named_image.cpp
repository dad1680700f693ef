#include "fscached/storage/named_image.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <optional>

#include "erofs-format/image/layout_folder.h"
#include "erofs-format/image/read_bootstrap_layer.h"
#include "erofs-format/image/reference.h"
#include "fscached/limits.h"
#include "fscached/storage/http_storage.h"

namespace fscached {
namespace {

using registry::Document;

// Where documents and layers come from.
class Source {
 public:
  virtual ~Source() = default;
  virtual Result<Document> root() = 0;
  virtual Result<Buffer> layer(const Descriptor& descriptor) = 0;
  virtual Result<std::string> document(const Descriptor& descriptor) = 0;
};

Result<void> check_digest(std::string_view text, const Digest& digest) {
  if (sha256(as_bytes(text)) == digest) return {};
  return make_error(Code::digest_mismatch, digest_text(digest) + ": the bytes are not those of this digest");
}

class RegistrySource final : public Source {
 public:
  RegistrySource(std::unique_ptr<Loop> loop, ImageReference reference)
      : loop_(std::move(loop)), reference_(std::move(reference)) {}
  Result<void> open(const StorageOptions& options) {
    TRY_ASSIGN(registry_, open_registry(*loop_, reference_.host + "/" + reference_.name, counters_, options));
    return {};
  }
  Result<Document> root() override;
  Result<Buffer> layer(const Descriptor& descriptor) override;
  Result<std::string> document(const Descriptor& descriptor) override {
    TRY_ASSIGN(Document found, fetch(digest_text(descriptor.digest)));
    TRY(check_digest(found.text, descriptor.digest));
    return std::move(found.text);
  }

 private:
  Result<Document> fetch(const std::string& reference);
  std::unique_ptr<Loop> loop_;
  ImageReference reference_;
  StorageCounters counters_;
  std::unique_ptr<Registry> registry_;
};

Result<Document> RegistrySource::fetch(const std::string& reference) {
  std::optional<Result<Document>> outcome;
  registry_->manifest(reference, [&](Result<Document> document) {
    outcome = std::move(document);
    loop_->stop();
  });
  TRY(loop_->run());
  return std::move(*outcome);
}

Result<Document> RegistrySource::root() {
  if (reference_.digest.empty()) return fetch(reference_.tag);
  TRY_ASSIGN(Digest digest, parse_digest(reference_.digest));
  TRY_ASSIGN(Document document, fetch(reference_.digest));
  TRY(check_digest(document.text, digest));
  return document;
}

Result<Buffer> RegistrySource::layer(const Descriptor& descriptor) {
  Buffer bytes(descriptor.size);
  std::optional<Result<void>> outcome;
  registry_->read(to_hex(descriptor.digest), 0, bytes, [&](Result<void> result) {
    outcome = std::move(result);
    loop_->stop();
  });
  TRY(loop_->run());
  TRY(std::move(*outcome));
  TRY(check_digest(as_text(bytes), descriptor.digest));
  return bytes;
}

class LayoutSource final : public Source {
 public:
  LayoutSource(LayoutFolder folder, Descriptor root) : folder_(std::move(folder)), root_(std::move(root)) {}
  Result<Document> root() override {
    TRY_ASSIGN(std::string text, document(root_));
    return Document{root_.media_type, std::move(text)};
  }
  Result<Buffer> layer(const Descriptor& descriptor) override {
    return folder_.read_blob(descriptor, kMaxBootstrapLayerBytes);
  }
  Result<std::string> document(const Descriptor& descriptor) override {
    TRY_ASSIGN(Buffer bytes, folder_.read_blob(descriptor));
    return std::string(as_text(bytes));
  }

 private:
  LayoutFolder folder_;
  Descriptor root_;
};

// Of an index with original and Nydus images, the Nydus one for this machine.
Result<Manifest> choose_manifest(Source& source, const Document& root, const std::string& name) {
  if (!is_index_type(root.media_type)) return parse_manifest(as_bytes(root.text), name);
  TRY_ASSIGN(Index index, parse_index(as_bytes(root.text), name));
  unsigned tried = 0;
  for (const Descriptor& entry : index.manifests) {
    if (!is_manifest_type(entry.media_type)) continue;
    if (entry.platform && !entry.platform->serves(host_platform())) continue;
    if (++tried > kMaxManifestsTried) break;
    TRY_ASSIGN(std::string text, source.document(entry));
    TRY_ASSIGN(Manifest manifest, parse_manifest(as_bytes(text), name));
    if (manifest.is_nydus()) return manifest;
  }
  return make_error(Code::not_found,
                    fmt::format("{}: no Nydus image for {}", name, to_string(host_platform())));
}

Result<Buffer> bootstrap_of(Source& source, const std::string& name) {
  TRY_ASSIGN(Document root, source.root());
  TRY_ASSIGN(Manifest manifest, choose_manifest(source, root, name));
  if (!manifest.is_nydus()) return make_error(Code::unsupported, name + ": not a Nydus image");
  const Descriptor& layer = manifest.layers.back();
  if (layer.size > kMaxBootstrapLayerBytes)
    return make_error(Code::too_large, fmt::format("{}: a bootstrap layer of {} bytes", name, layer.size));
  TRY_ASSIGN(Buffer bytes, source.layer(layer));
  return read_bootstrap_layer(bytes, fmt::format("{}: bootstrap layer {}", name, digest_text(layer.digest)));
}

Result<NamedImage> open_in_registry(ImageReference reference, const std::string& name,
                                    const StorageOptions& options) {
  TRY_ASSIGN(std::unique_ptr<Loop> loop, Loop::create(8));
  NamedImage image;
  image.where = fmt::format("docker://{}/{}", reference.host, reference.name);
  RegistrySource source(std::move(loop), std::move(reference));
  TRY(source.open(options));
  TRY_ASSIGN(image.bootstrap, bootstrap_of(source, name));
  return image;
}

Result<NamedImage> open_in_layout(const ImageReference& reference, const std::string& name) {
  TRY_ASSIGN(LayoutFolder folder, LayoutFolder::open(reference.path));
  TRY_ASSIGN(Descriptor root, folder.find(reference.tag));
  NamedImage image;
  image.where = reference.path + "/blobs/sha256";
  LayoutSource source(std::move(folder), std::move(root));
  TRY_ASSIGN(image.bootstrap, bootstrap_of(source, name));
  return image;
}

Result<ImageReference> full_reference(const std::string& image) {
  TRY_ASSIGN(ImageReference reference, parse_reference(image));
  if (reference.transport == Transport::registry) {
    if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  }
  if (reference.transport != Transport::oci_layout) return reference;
  char* absolute = realpath(reference.path.c_str(), nullptr);
  if (absolute == nullptr) return errno_error(reference.path);
  reference.path = absolute;
  free(absolute);
  return reference;
}

Result<NamedImage> open_in(ImageReference reference, const std::string& name, const StorageOptions& options) {
  switch (reference.transport) {
    case Transport::registry: return open_in_registry(std::move(reference), name, options);
    case Transport::oci_layout: return open_in_layout(reference, name);
    case Transport::oci_archive:
    case Transport::docker_archive: break;
  }
  return make_error(Code::unsupported,
                    name + ": an archive's blobs cannot be read in place; unpack it first");
}

}  // namespace

Result<std::string> full_image_name(const std::string& image) {
  TRY_ASSIGN(ImageReference reference, full_reference(image));
  return to_string(reference);
}

Result<NamedImage> open_named_image(const std::string& image, const StorageOptions& options) {
  TRY_ASSIGN(ImageReference reference, full_reference(image));
  std::string name = to_string(reference);
  TRY_ASSIGN(NamedImage opened, open_in(std::move(reference), name, options));
  opened.name = name;
  return opened;
}

}  // namespace fscached
