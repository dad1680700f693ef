// A repository as a place that images are read from and written to.
#pragma once

#include <map>
#include <mutex>

#include "erofs-format/image/image_store.h"
#include "erofs-format/registry/repository_client.h"

namespace erofs_format::registry {

class RegistryStore final : public ImageStore {
 public:
  explicit RegistryStore(RepositoryClient& client) : client_(client) {}

  // What `reference` (a tag or a digest) names: a manifest or an index. Asked for once.
  Result<Descriptor> find(const std::string& reference);
  Result<Buffer> read_blob(const Descriptor& descriptor, uint64_t limit = kMaxDocumentSize) const override;
  Result<std::unique_ptr<ByteSource>> open_part(const Descriptor& descriptor, uint64_t offset,
                                                const std::string& name) const override;
  Origin origin() const override { return {client_.repository().host, client_.repository().name}; }
  Result<std::vector<Descriptor>> referrers(const Digest& digest) const override;

 private:
  RepositoryClient& client_;
  std::optional<Descriptor> root_;
  std::string root_text_;
};

// Blobs are pushed as soon as they are given, the image's manifest by publish().
class RegistryTarget final : public ImageTarget {
 public:
  // `work_dir`: holds a blob from its first byte until it is pushed, since an upload needs its digest.
  RegistryTarget(RepositoryClient& client, std::string work_dir)
      : client_(client), work_dir_(std::move(work_dir)) {}

  Result<os::PendingFile> new_blob() const override { return os::PendingFile::create(work_dir_, 0600); }
  Result<void> add(os::PendingFile blob, const Digest& digest, uint64_t size, const Moved& moved) override;
  Result<Descriptor> add_bytes(ByteView bytes, std::string media_type) override;
  // Another repository of the same registry is asked to share it.
  Result<Arrival> take(const Descriptor& blob, const ImageStore& from, const std::string& name,
                       const Moved& moved) override;
  Result<uint64_t> blob_size(const Digest& digest) override { return client_.blob_size(digest); }
  Result<void> add_document(const Descriptor& descriptor, ByteView document) override;
  // Without a tag it can be had by its digest.
  Result<void> publish(Descriptor image, ByteView document, const std::string& tag) override;

 private:
  RepositoryClient& client_;
  const std::string work_dir_;
};

}  // namespace erofs_format::registry
