// The chunk information of a blob ("blob.meta", nydus-rafs-v6.md 2.3-2.5):
// which compressed bytes give which range of the cache image.
#pragma once

#include <cstdint>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

// One chunk as the blob stores it; the position in the table is the chunk index.
struct ChunkSpan {
  uint64_t uncompressed_offset = 0;  // multiple of 4096
  uint64_t compressed_offset = 0;
  uint32_t uncompressed_size = 0;
  uint32_t compressed_size = 0;  // 0 for members of a batch
  uint32_t crc32 = 0;
  bool compressed = false;
  bool encrypted = false;
  bool has_crc32 = false;
  bool in_batch = false;
  uint32_t batch = 0;            // index of the batch
  uint32_t offset_in_batch = 0;  // byte in the decompressed batch
};

// Chunks decoded together: compressed as one, or pieces of one part of a gzip stream (zran), whose
// sizes in the stream the chunks themselves say only roughly.
struct Batch {
  uint64_t compressed_offset = 0;
  uint32_t compressed_size = 0;  // stored raw when equal to uncompressed_size, except in zran
  uint32_t uncompressed_size = 0;
};

// Stored and raw bytes of a part of a gzip stream.
constexpr uint32_t kMaxZranPart = 32u << 20;

// What an inflater must know before it starts at a batch of zran.
struct Checkpoint {
  uint64_t uncompressed_offset = 0;  // of the batch in the raw stream
  uint64_t dictionary_offset = 0;    // in ChunkTable::dictionaries
  uint32_t dictionary_size = 0;      // up to 32 KiB
  uint8_t byte = 0;                  // the one before the batch, of which the
  uint8_t bits = 0;                  // upper bits (0 to 7) belong to it
};

struct ChunkTable {
  std::vector<ChunkSpan> chunks;
  std::vector<Batch> batches;
  std::vector<Checkpoint> checkpoints;  // zran: one for each batch; otherwise none
  Buffer dictionaries;

  ByteView dictionary(const Checkpoint& checkpoint) const {
    return ByteView(dictionaries).subspan(checkpoint.dictionary_offset, checkpoint.dictionary_size);
  }
};

// What one fetch of a chunk reads: the chunk itself, or its whole batch.
struct StoredRange {
  uint64_t offset = 0;
  uint32_t size = 0;
};
StoredRange stored_range(const ChunkTable& table, uint32_t chunk_index);

// Where the chunk information of `blob` lies in the blob Blob::meta_id() names: the data, then the
// 4096-byte header.
struct ChunkTableLocation {
  uint64_t offset = 0;
  uint64_t size = 0;  // with the header
};
ChunkTableLocation chunk_table_location(const Blob& blob);

// Decrypts, decompresses and validates the bytes at chunk_table_location() against the
// blob's entry in the bootstrap. Code::corrupt names blob and chunk.
Result<ChunkTable> parse_chunk_table(const Blob& blob, ByteView stored);

// The table a blob needs when the bootstrap alone describes it (no batches):
// from the bootstrap's chunk table, entry by index; holes where this image does not use a chunk
// have uncompressed_size 0.
Result<ChunkTable> chunk_table_from_bootstrap(const Tree& tree, uint32_t blob_index);

// Bytes to append to a blob: information (V1, or V2 when `features` say so), and its header.
struct EncodedChunkTable {
  Buffer data;           // compressed when that made it smaller
  Buffer header;         // 4096 bytes
  Digest header_digest;  // SHA-256 of it before encryption
  Compressor compressor = Compressor::none;
  uint64_t uncompressed_size = 0;
  Digest uncompressed_digest;  // SHA-256, for the table of contents
};
// Encrypted, both of them, with `key` if there is one.
Result<EncodedChunkTable> encode_chunk_table(const ChunkTable& table, uint32_t features, uint64_t ci_offset,
                                             const CipherKey* key = nullptr);

}  // namespace erofs_format
