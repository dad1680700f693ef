// Appends to a blob that may be a FIFO: chunk data, then the sections of
// nydus-rafs-v6.md 2.1. Never seeks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"
#include "erofs-format/blob/chunk_table.h"
#include "erofs-format/blob/stream_writer.h"
#include "erofs-format/blob/toc.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

struct BlobWriterOptions {
  bool toc = false;          // --features blob-toc: digest array and table of contents
  bool inline_meta = false;  // --blob-inline-meta: image.boot inside
  bool separate = false;     // -ref types: the chunks are in another blob, this one says where
};

class BlobWriter {
 public:
  // Writes to `fd` (borrowed); `name` is for messages.
  BlobWriter(int fd, std::string name, BlobWriterOptions options);

  // Appends stored bytes of a chunk or batch; returns their offset.
  Result<uint64_t> append(ByteView stored);
  // Ends the chunk data: writes the information and (toc) the digest array, fills sizes, features and
  // ci_… of `blob` (whose compressor, digester, chunk_size and key are set; with `separate` its
  // compressed_size, too), not its id. A blob
  // without chunks gets none of these sections.
  Result<void> finish_data(const ChunkTable& table, const std::vector<Digest>& digests, Blob& blob);
  // inline_meta: appends the bootstrap (zstd with toc, raw without).
  Result<void> append_bootstrap(ByteView bootstrap);
  // toc: appends the table of contents. Always the last call; fills toc_size and toc_digest of `blob`,
  // and its compressed_size (or meta_size) where the format wants the final length.
  Result<void> finish(Blob& blob);

  uint64_t size() const { return size_; }
  // SHA-256 of everything written, the blob's id; only after finish().
  Digest digest() const { return stream_.digest(); }

 private:
  Result<void> write(ByteView bytes);
  Result<void> end_section(const char* name, uint64_t size);

  StreamWriter stream_;
  BlobWriterOptions options_;
  uint64_t size_ = 0;
  uint64_t data_size_ = 0;
  std::vector<TocEntry> toc_;
};

}  // namespace erofs_format
