// A tar or tar.gz that stays as it is: while it is read as a source, what is noted of it lets chunks be
// found in it again (nydus-rafs-v6.md 2.5, zran).
#pragma once

#include <memory>
#include <string>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/stream.h"
#include "erofs-format/blob/chunk_table.h"

namespace mkfs {

using namespace erofs_format;

class Original {
 public:
  virtual ~Original() = default;
  // After the source was read to its end: SHA-256 and size of the file as it is stored.
  virtual Digest digest() const = 0;
  virtual uint64_t size() const = 0;
  virtual bool is_gzip() const = 0;
  // Chunks whose compressed_offset is their place in the raw tar, in that order, become members of parts of
  // the gzip stream. Code::too_large when a part would be larger than kMaxZranPart.
  virtual Result<void> locate(ChunkTable& table) const = 0;
};

// The raw bytes of `stored` (plain or gzip) as a source, and what is noted meanwhile. `original` lives as
// long as the source or longer.
struct OriginalSource {
  std::unique_ptr<ByteSource> bytes;
  std::shared_ptr<const Original> original;
};
Result<OriginalSource> open_original(std::unique_ptr<ByteSource> stored, const std::string& name);

}  // namespace mkfs
