#include "mkfs/image_places.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/options.h"
#include "erofs-format/image/layout_folder.h"
#include "erofs-format/registry/credential_files.h"
#include "erofs-format/registry/registry_image.h"
#include "mkfs/archive_store.h"
#include "mkfs/archive_target.h"

namespace mkfs {

namespace {

constexpr const char* kDefaultTag = "latest";

}  // namespace

Result<registry::RepositoryClient*> ImagePlaces::client(const ImageReference& reference) {
  std::string where = reference.host + "/" + reference.name;
  if (auto known = clients_.find(where); known != clients_.end()) return known->second.get();
  bool plain = std::find(options_.plain_hosts.begin(), options_.plain_hosts.end(), reference.host) !=
               options_.plain_hosts.end();
  TRY_ASSIGN(registry::Repository repository,
             registry::parse_repository(
                 where, plain ? registry::PlainHttp::allowed : registry::PlainHttp::loopback_only));
  if (thread_ == nullptr) {
    TRY_ASSIGN(thread_, registry::CurlThread::create());
  }
  TRY_ASSIGN(registry::Credential credential,
             registry::find_credential(options_.auth_file, repository.host, repository.name));
  auto made = std::make_unique<registry::RepositoryClient>(*thread_, std::move(repository),
                                                           std::move(credential), options_.http);
  return clients_.emplace(where, std::move(made)).first->second.get();
}

Result<ImagePlaces::Source> ImagePlaces::source(const ImageReference& reference) {
  Source source;
  switch (reference.transport) {
    case Transport::registry: {
      TRY_ASSIGN(registry::RepositoryClient * repository, client(reference));
      auto store = std::make_unique<registry::RegistryStore>(*repository);
      TRY_ASSIGN(source.root, store->find(!reference.digest.empty() ? reference.digest : tag_of(reference)));
      source.store = std::move(store);
      return source;
    }
    case Transport::oci_layout: {
      TRY_ASSIGN(LayoutFolder folder, LayoutFolder::open(reference.path));
      TRY_ASSIGN(source.root, folder.find(reference.tag));
      source.store = std::make_unique<LayoutFolder>(std::move(folder));
      return source;
    }
    case Transport::oci_archive:
    case Transport::docker_archive: break;
  }
  auto open =
      reference.transport == Transport::oci_archive ? ArchiveStore::open_oci : ArchiveStore::open_docker;
  TRY_ASSIGN(ArchiveStore::Opened opened, open(reference.path, reference.tag));
  return Source{std::move(opened.store), std::move(opened.root)};
}

Result<std::unique_ptr<ImageTarget>> ImagePlaces::target(const ImageReference& reference) {
  switch (reference.transport) {
    case Transport::registry: {
      if (!reference.digest.empty())
        return usage_error(
            fmt::format("{}: a target is named by a tag, not by a digest", to_string(reference)));
      TRY_ASSIGN(registry::RepositoryClient * repository, client(reference));
      return std::unique_ptr<ImageTarget>(
          std::make_unique<registry::RegistryTarget>(*repository, options_.work_dir));
    }
    case Transport::oci_layout: {
      TRY_ASSIGN(LayoutTransaction transaction, LayoutTransaction::create(reference.path));
      return std::unique_ptr<ImageTarget>(std::make_unique<LayoutTransaction>(std::move(transaction)));
    }
    case Transport::oci_archive:
    case Transport::docker_archive: break;
  }
  auto form =
      reference.transport == Transport::oci_archive ? ArchiveTarget::Form::oci : ArchiveTarget::Form::docker;
  return std::unique_ptr<ImageTarget>(std::make_unique<ArchiveTarget>(reference.path, form));
}

Result<std::vector<std::string>> ImagePlaces::tags(const ImageReference& place) {
  if (place.transport == Transport::registry) {
    TRY_ASSIGN(registry::RepositoryClient * repository, client(place));
    return repository->tags();
  }
  if (place.transport != Transport::oci_layout) return std::vector<std::string>();
  TRY_ASSIGN(LayoutFolder folder, LayoutFolder::open(place.path));
  std::vector<std::string> names;
  for (const Descriptor& entry : folder.index().manifests)
    if (std::string name = entry.annotation(kRefNameAnnotation); !name.empty()) names.push_back(name);
  return names;
}

std::string ImagePlaces::tag_of(const ImageReference& target) {
  if (target.transport != Transport::registry || !target.tag.empty()) return target.tag;
  return kDefaultTag;
}

}  // namespace mkfs
