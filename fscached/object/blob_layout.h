// What images say of one blob: where each chunk lies, in the blob and in the cache file, and
// its digest. Immutable, so that decoding threads can hold it while an image adds knowledge.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/blob/chunk_table.h"
#include "erofs-format/bootstrap/tree.h"

namespace fscached {

using namespace erofs_format;

class BlobLayout {
 public:
  // `digests` by chunk index; zero = no image uses that chunk. Refuses chunks that overlap or leave the file:
  // one image could then overwrite what was verified for another.
  static Result<std::shared_ptr<const BlobLayout>> create(Blob blob, ChunkTable table,
                                                          std::vector<Digest> digests);
  // The knowledge of both; Code::corrupt names the chunk they disagree on.
  static Result<std::shared_ptr<const BlobLayout>> merge(const BlobLayout& one, const BlobLayout& other);

  const Blob& blob() const { return blob_; }
  const ChunkTable& table() const { return table_; }
  const ChunkSpan& chunk(uint32_t index) const { return table_.chunks[index]; }
  const Digest& digest(uint32_t index) const { return digests_[index]; }
  const std::vector<Digest>& digests() const { return digests_; }
  // Known chunks by their place in the cache file.
  const std::vector<uint32_t>& known() const { return order_; }
  bool knows(uint32_t index) const { return index < digests_.size() && !digests_[index].is_zero(); }
  // Whether a cache file's pages are those of a chunk: its bytes, then zeros, which a reader that maps the
  // last page of a file sees.
  Result<void> verify_pages(uint32_t index, ByteView pages) const;
  // The known chunks that overlap a range of the cache file.
  std::span<const uint32_t> chunks_in(uint64_t offset, uint64_t count) const;
  // The known chunks of a batch.
  std::span<const uint32_t> batch_members(uint32_t batch) const { return batches_[batch]; }
  // Bytes of the cache file, a multiple of 4096.
  uint64_t file_size() const;

 private:
  Result<void> index();
  Blob blob_;
  ChunkTable table_;
  std::vector<Digest> digests_;
  std::vector<uint32_t> order_;
  std::vector<std::vector<uint32_t>> batches_;
};

// Bytes a chunk takes in the cache file: whole pages, the rest of the last one zero.
inline uint64_t padded_size(const ChunkSpan& chunk) { return align_up(chunk.uncompressed_size, 4096); }

}  // namespace fscached
