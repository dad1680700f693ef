// Where images are read from and written to: a layout folder here, a registry in `erofs-format/registry`.
#pragma once

#include <functional>
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
  // The bytes of a blob from `offset` to its end; nobody has compared them with anything.
  virtual Result<std::unique_ptr<ByteSource>> open_part(const Descriptor& descriptor, uint64_t offset,
                                                        const std::string& name) const = 0;
  // Of a repository; of other places both are empty.
  struct Origin {
    std::string host;
    std::string name;
  };
  virtual Origin origin() const { return {}; }
  // The manifests that name this one as their subject, as far as the place knows.
  virtual Result<std::vector<Descriptor>> referrers(const Digest&) const { return std::vector<Descriptor>(); }

  // A blob as a stream that fails at its end when digest or size are wrong.
  Result<std::unique_ptr<ByteSource>> open_blob(const Descriptor& descriptor, const std::string& name) const;
  Result<Manifest> open_manifest(const Descriptor& descriptor) const;
  // `depth`: 1 for one that no other index names. Code::too_large below kMaxIndexDepth.
  Result<Index> open_index(const Descriptor& descriptor, int depth) const;
  // Follows indexes from `start` to the manifest of the one image for `platform`. A lone manifest is taken as
  // it is. Nydus images that stand beside their originals are passed over.
  Result<Descriptor> find_manifest(const Descriptor& start, const Platform& platform) const;

 private:
  Result<Descriptor> find_in_index(const Descriptor& index, const Platform& platform, int depth) const;
};

// How a blob that exists elsewhere came to be at a target.
enum class Arrival { present, mounted, copied };
const char* to_string(Arrival arrival);

// Called while a blob is on its way, perhaps on another thread: how many of its bytes are there. An error
// ends it.
using Moved = std::function<Result<void>(uint64_t bytes)>;

// Takes everything one new image needs. Nothing is visible under a name before publish().
class ImageTarget {
 public:
  virtual ~ImageTarget() = default;

  // A file to fill, to be given back with add(). Both are safe from several threads.
  virtual Result<os::PendingFile> new_blob() const = 0;
  virtual Result<void> add(os::PendingFile blob, const Digest& digest, uint64_t size, const Moved& moved) = 0;
  // Through a file, where a target knows nothing shorter; so with documents.
  virtual Result<Descriptor> add_bytes(ByteView bytes, std::string media_type);
  // A blob that `from` has: nothing is moved when the target has it too, or can have it from its neighbour.
  virtual Result<Arrival> take(const Descriptor& blob, const ImageStore& from, const std::string& name,
                               const Moved& moved) = 0;
  // Of a blob that was there before.
  virtual Result<uint64_t> blob_size(const Digest& digest) = 0;
  // A manifest that an index will name.
  virtual Result<void> add_document(const Descriptor& descriptor, ByteView document);
  // Makes `image`, whose text is `document`, visible as `tag` (empty: without a name of its own).
  virtual Result<void> publish(Descriptor image, ByteView document, const std::string& tag) = 0;
};

// For blobs whose way nobody watches.
Result<void> not_watched(uint64_t bytes);
// From one to the other, through a file of the target.
Result<void> copy_blob(const Descriptor& blob, const ImageStore& from, ImageTarget& to,
                       const std::string& name, const Moved& moved);
// A source that ends after `size` bytes, or fails.
Result<Buffer> read_all(ByteSource& source, uint64_t size);

// Media type, digest and size of `bytes`.
Descriptor describe_bytes(ByteView bytes, std::string media_type);

}  // namespace erofs_format
