// Raw chunks out of a local blob file: read, decrypt, decompress, verify.
#pragma once

#include <memory>
#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "erofs-format/blob/chunk_table.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

// Stored bytes (exactly stored_range()) -> the raw chunk, exact size and digest; the
// one place where a chunk is decoded, used by dump, unpack, check and fscached.
// For a member of a batch, `stored` is the whole batch.
// Code::digest_mismatch or corrupt: the caller adds blob and chunk to the message.
Result<void> decode_chunk(const Blob& blob, const ChunkTable& table, uint32_t chunk_index, ByteView stored,
                          const Digest& expected, Decoder& decoder, Buffer& scratch, MutableBytes raw);

// The two halves of it, for whoever wants several members of one batch: the batch once, then each
// member out of it.
Result<void> decode_batch(const Blob& blob, const ChunkTable& table, uint32_t batch_index, ByteView stored,
                          Decoder& decoder, Buffer& scratch, MutableBytes raw);
Result<void> verify_chunk(const Blob& blob, const Digest& expected, ByteView raw);

// Opens the first of `directories` that has `name`; Code::not_found names them all.
struct BlobFile {
  os::UniqueFd fd;
  std::string path;
  uint64_t size = 0;
};
Result<BlobFile> open_blob_file(const std::string& name, const std::vector<std::string>& directories);
// The chunk table of a blob out of the open file Blob::meta_id() names; the bootstrap's where that has none.
Result<ChunkTable> read_chunk_table(const Tree& tree, uint32_t blob_index, const BlobFile& file);

// All blobs of a tree in local folders.
class BlobReader {
 public:
  // Opens `directory`/<blob id>, and where its chunk information is in another blob, that; for an image whose
  // bootstrap is inlined in a blob file, that file serves too. `tree` must outlive the reader.
  static Result<std::unique_ptr<BlobReader>> open(const Tree& tree,
                                                  const std::vector<std::string>& directories);
  ~BlobReader();
  // The raw bytes of a chunk; valid until the next call.
  Result<ByteView> chunk(ChunkId id);
  // SHA-256 of a regular file.
  Result<Digest> file_digest(InodeId id);
  const BlobFile& file(uint32_t blob_index) const;
  // The one with the chunk information: mostly the same.
  const BlobFile& meta_file(uint32_t blob_index) const;
  const ChunkTable& table(uint32_t blob_index) const;

 private:
  struct State;
  explicit BlobReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace erofs_format
