// An OCI image layout in a folder: `oci-layout`, `index.json`, `blobs/sha256/…`.
// Reading verifies every byte; writing shows nothing before everything is there.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "erofs-format/image/image_store.h"

namespace erofs_format {

constexpr std::string_view kRefNameAnnotation = "org.opencontainers.image.ref.name";

inline constexpr std::string_view kLayoutFile =
    R"({"imageLayoutVersion":"1.0.0"})";  // of the file oci-layout

// The entry of a layout's index named `tag`; without a tag, the only one there is. `place` is for messages.
Result<Descriptor> find_named(const Index& index, const std::string& tag, const std::string& place);

// Files named by their digest, below `path`/blobs/sha256.
class BlobFolder : public ImageStore {
 public:
  explicit BlobFolder(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  Result<Buffer> read_blob(const Descriptor& descriptor, uint64_t limit = kMaxDocumentSize) const override;
  Result<std::unique_ptr<ByteSource>> open_part(const Descriptor& descriptor, uint64_t offset,
                                                const std::string& name) const override;

 private:
  std::string path_;
};

class LayoutFolder final : public BlobFolder {
 public:
  // `path` must hold a layout of version 1.
  static Result<LayoutFolder> open(const std::string& path);

  const Index& index() const { return index_; }
  Result<Descriptor> find(const std::string& tag) const { return find_named(index_, tag, path()); }

 private:
  explicit LayoutFolder(const std::string& path) : BlobFolder(path) {}
  Index index_;
};

// Everything one new image needs, published in one go: blobs first, index.json last.
// Dropped unpublished, it leaves the folder as it was.
class LayoutTransaction final : public ImageTarget {
 public:
  // The folder is made when missing.
  static Result<LayoutTransaction> create(const std::string& path);
  LayoutTransaction(LayoutTransaction&&) noexcept = default;
  LayoutTransaction& operator=(LayoutTransaction&&) = delete;
  ~LayoutTransaction() override;

  Result<os::PendingFile> new_blob() const override;
  Result<void> add(os::PendingFile blob, const Digest& digest, uint64_t size, const Moved& moved) override;
  // A blob that is there is read and compared, as one that comes is.
  Result<Arrival> take(const Descriptor& blob, const ImageStore& from, const std::string& name,
                       const Moved& moved) override;
  Result<uint64_t> blob_size(const Digest& digest) override;
  // Other entries of the index stay.
  Result<void> publish(Descriptor image, ByteView document, const std::string& tag) override;

 private:
  LayoutTransaction() = default;
  Result<void> make_folder(const std::string& path);
  Result<Index> current_index() const;
  struct Blob {
    os::PendingFile file;
    Digest digest;
  };
  std::string path_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
  std::vector<Blob> blobs_;
  std::vector<std::string> made_;  // folders to take away again
};

}  // namespace erofs_format
