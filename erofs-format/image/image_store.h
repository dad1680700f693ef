// Where images are read from and written to: a layout folder here, a registry in `erofs-format/registry`.
#pragma once

#include <memory>
#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/stream.h"
#include "erofs-format/image/manifest.h"

namespace erofs_format {

// An index may list indexes, this deep.
constexpr int kMaxIndexDepth = 4;

class ImageStore {
 public:
  virtual ~ImageStore() = default;

  // A whole document or other small blob, verified; at most `limit` bytes.
  virtual Result<Buffer> read_blob(const Descriptor& descriptor, uint64_t limit = kMaxDocumentSize) const = 0;
  // A blob as a stream that fails at its end when digest or size are wrong.
  virtual Result<std::unique_ptr<ByteSource>> open_blob(const Descriptor& descriptor,
                                                        const std::string& name) const = 0;

  // Follows indexes from `start` to the manifest of the one image for `platform`. A lone manifest is taken as
  // it is.
  Result<Descriptor> find_manifest(const Descriptor& start, const Platform& platform) const;

 private:
  Result<Descriptor> find_in_index(const Descriptor& index, const Platform& platform, int depth) const;
};

// Takes everything one new image needs. Nothing is visible under a name before publish().
class ImageTarget {
 public:
  virtual ~ImageTarget() = default;

  // A file to fill, to be given back with add(). Both are safe from several threads.
  virtual Result<os::PendingFile> new_blob() const = 0;
  virtual Result<void> add(os::PendingFile blob, const Digest& digest, uint64_t size) = 0;
  virtual Result<Descriptor> add_bytes(ByteView bytes, std::string media_type) = 0;
  // Of a blob that was there before.
  virtual Result<uint64_t> blob_size(const Digest& digest) = 0;
  // Makes `image`, whose text is `document`, visible as `tag` (empty: without a name of its own).
  virtual Result<void> publish(Descriptor image, ByteView document, const std::string& tag) = 0;
};

// Media type, digest and size of `bytes`.
Descriptor describe_bytes(ByteView bytes, std::string media_type);

}  // namespace erofs_format
