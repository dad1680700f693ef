#include "fscached/storage/named_image.h"

#include <fmt/format.h>
#include <stdlib.h>

#include "erofs-format/image/layout_folder.h"
#include "erofs-format/image/nydus_manifest.h"
#include "erofs-format/image/reference.h"
#include "erofs-format/registry/registry_image.h"
#include "fscached/storage/http_storage.h"

namespace fscached {
namespace {

Result<Buffer> bootstrap_of(const ImageStore& store, const Descriptor& root, const std::string& name) {
  TRY_ASSIGN(Manifest manifest, find_nydus_manifest(store, root, host_platform(), name));
  return read_bootstrap(store, manifest, name);
}

Result<Buffer> bootstrap_at(registry::CurlThread& thread, KnownPlace place, const std::string& reference,
                            const std::string& name, const StorageOptions& options) {
  registry::RepositoryClient client(thread, std::move(place.repository), std::move(place.credential), options,
                                    std::move(place.terms));
  registry::RegistryStore store(client);
  TRY_ASSIGN(Descriptor root, store.find(reference));
  return bootstrap_of(store, root, name);
}

// From the first place that has it; a tag only from those that are trusted with what it means.
Result<NamedImage> open_in_registry(const ImageReference& reference, const std::string& name,
                                    const StorageOptions& options) {
  NamedImage image;
  image.where = fmt::format("docker://{}/{}", reference.host, reference.name);
  TRY_ASSIGN(std::vector<KnownPlace> places, find_places(image.where, options));
  TRY_ASSIGN(auto thread, registry::CurlThread::create());
  bool by_digest = !reference.digest.empty();
  for (KnownPlace& place : places) {
    bool last = &place == &places.back();
    if (!last && !by_digest && !place.resolve) continue;
    Result<Buffer> bootstrap =
        bootstrap_at(*thread, std::move(place), by_digest ? reference.digest : reference.tag, name, options);
    if (!bootstrap && !last) continue;
    TRY_ASSIGN(image.bootstrap, std::move(bootstrap));
    break;
  }
  return image;
}

Result<NamedImage> open_in_layout(const ImageReference& reference, const std::string& name) {
  TRY_ASSIGN(LayoutFolder folder, LayoutFolder::open(reference.path));
  TRY_ASSIGN(Descriptor root, folder.find(reference.tag));
  NamedImage image;
  image.where = reference.path + "/blobs/sha256";
  TRY_ASSIGN(image.bootstrap, bootstrap_of(folder, root, name));
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

Result<NamedImage> open_in(const ImageReference& reference, const std::string& name,
                           const StorageOptions& options) {
  switch (reference.transport) {
    case Transport::registry: return open_in_registry(reference, name, options);
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
  TRY_ASSIGN(NamedImage opened, open_in(reference, name, options));
  opened.name = name;
  return opened;
}

}  // namespace fscached
