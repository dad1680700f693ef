// An OCI image layout in a folder: `oci-layout`, `index.json`, `blobs/sha256/…`.
// Reading verifies every byte; writing shows nothing before everything is there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/stream.h"
#include "erofs-format/image/manifest.h"

namespace erofs_format {

constexpr std::string_view kRefNameAnnotation = "org.opencontainers.image.ref.name";

// An index may list indexes, this deep.
constexpr int kMaxIndexDepth = 4;

class LayoutFolder {
 public:
  // `path` must hold a layout of version 1.
  static Result<LayoutFolder> open(const std::string& path);

  const std::string& path() const { return path_; }
  const Index& index() const { return index_; }
  // The entry of index.json named `tag`; without a tag, the only one there is.
  Result<Descriptor> find(const std::string& tag) const;
  // Follows indexes from `start` to the manifest of the one image for `platform`. A lone manifest is taken as
  // it is.
  Result<Descriptor> find_manifest(const Descriptor& start, const Platform& platform) const;

  // A whole small blob, verified; at most `limit` bytes.
  Result<Buffer> read_blob(const Descriptor& descriptor, uint64_t limit = kMaxDocumentSize) const;
  // A blob as a stream that fails at its end when digest or size are wrong.
  Result<std::unique_ptr<ByteSource>> open_blob(const Descriptor& descriptor, const std::string& name) const;

 private:
  std::string blob_path(const Digest& digest) const;
  Result<Descriptor> find_in_index(const Descriptor& index, const Platform& platform, int depth) const;
  std::string path_;
  Index index_;
};

// Everything one new image needs, published in one go: blobs first, index.json last.
// Dropped unpublished, it leaves the folder as it was.
class LayoutTransaction {
 public:
  // The folder is made when missing.
  static Result<LayoutTransaction> create(const std::string& path);
  LayoutTransaction(LayoutTransaction&&) noexcept = default;
  LayoutTransaction& operator=(LayoutTransaction&&) = delete;
  ~LayoutTransaction();

  // A file to fill, to be given back with its digest. Safe from several threads.
  Result<os::PendingFile> new_blob() const;
  void add(os::PendingFile blob, const Digest& digest);
  Result<Descriptor> add_bytes(ByteView bytes, std::string media_type);
  // Makes `image` visible as `tag` (empty: without name); other entries stay.
  Result<void> publish(Descriptor image, const std::string& tag);

 private:
  LayoutTransaction() = default;
  Result<void> make_folder(const std::string& path);
  Result<Index> current_index() const;
  struct Blob {
    os::PendingFile file;
    Digest digest;
  };
  std::string path_;
  std::vector<Blob> blobs_;
  std::vector<std::string> made_;  // folders to take away again
};

}  // namespace erofs_format
