// An image that becomes a tar: an OCI layout in it, and for docker-archive: the list of images besides, as
// `docker save` writes both. Who knows the list alone takes a Nydus blob for a compressed tar: the layout is
// what to read.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "erofs-format/image/image_store.h"

namespace mkfs {

using namespace erofs_format;

class ArchiveTarget final : public ImageTarget {
 public:
  enum class Form { oci, docker };
  // Until publish() blobs lie beside `path`, under temporary names.
  ArchiveTarget(std::string path, Form form);

  Result<os::PendingFile> new_blob() const override;
  Result<void> add(os::PendingFile blob, const Digest& digest, uint64_t size, const Moved& moved) override;
  Result<Arrival> take(const Descriptor& blob, const ImageStore& from, const std::string& name,
                       const Moved& moved) override;
  Result<uint64_t> blob_size(const Digest& digest) override;
  // Replaces the file. The same blobs give the same bytes.
  Result<void> publish(Descriptor image, ByteView document, const std::string& tag) override;

 private:
  struct Blob {
    os::PendingFile file;
    uint64_t size = 0;
  };

  Result<std::string> docker_list(ByteView manifest, const std::string& tag) const;

  const std::string path_;
  const Form form_;
  std::mutex mutex_;
  std::map<Digest, Blob> blobs_;
};

}  // namespace mkfs
