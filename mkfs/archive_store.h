// Images in a tar: an OCI layout in one (oci-archive:), or what `docker save` writes (docker-archive:).
// Nothing is unpacked: the members are found once, blobs are read where they lie.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "erofs-format/image/image_store.h"
#include "mkfs/source_tar.h"

namespace mkfs {

class ArchiveStore final : public ImageStore {
 public:
  struct Opened {
    std::unique_ptr<ArchiveStore> store;
    Descriptor root;
  };
  // `tag`: of the layout's index, or of RepoTags; empty when there is one image only. `path` is a regular
  // file, not compressed.
  static Result<Opened> open_oci(const std::string& path, const std::string& tag);
  // Such an archive has no manifest: one is made up, of the configuration and the layers' digests.
  static Result<Opened> open_docker(const std::string& path, const std::string& tag);

  Result<Buffer> read_blob(const Descriptor& descriptor, uint64_t limit = kMaxDocumentSize) const override;
  Result<std::unique_ptr<ByteSource>> open_part(const Descriptor& descriptor, uint64_t offset,
                                                const std::string& name) const override;

 private:
  struct Place {
    uint64_t offset = 0;
    uint64_t size = 0;
  };

  static Result<std::unique_ptr<ArchiveStore>> open(const std::string& path);
  Result<Place> member(const std::string& name) const;
  Result<Buffer> read_member(const std::string& name) const;
  std::unique_ptr<ByteSource> source_of(Place place, const std::string& name) const;
  Result<Descriptor> make_manifest(const JsonField& image);
  Result<Descriptor> docker_layer(const std::string& name, const Digest& diff_id);

  std::string path_;
  os::UniqueFd fd_;
  std::map<std::string, ArchiveMember> members_;
  std::map<Digest, Place> blobs_;
  std::map<Digest, std::string> documents_;  // that were made up
};

}  // namespace mkfs
