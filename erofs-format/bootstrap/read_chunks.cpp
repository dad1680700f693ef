// The chunk table of the bootstrap (nydus-rafs-v6.md 1.6), and looking chunks up in it.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "erofs-format/bootstrap/reader_image.h"

namespace erofs_format::reader {

using namespace ondisk;

namespace {

constexpr uint32_t kKnownChunkFlags =
    kChunkCompressed | kChunkHole | kChunkEncrypted | kChunkBatch | kChunkHasCrc32;

uint64_t chunk_key(uint32_t blob_index, uint32_t index) { return uint64_t{blob_index} << 32 | index; }

#define CHUNK_RULE(broken, field, text) \
  { (broken), at + offsetof(rafs_chunk_info, field), "chunk table: " text }

Result<void> check_address(const Image& image, const Blob& blob, const rafs_chunk_info& raw, uint64_t at) {
  uint64_t offset = raw.uncompressed_offset;
  uint64_t size = align_up(raw.uncompressed_size, image.block_size);
  return check_rules(
      image, {CHUNK_RULE(raw.index >= blob.chunk_count, index, "index is not below chunk_count of the blob"),
              CHUNK_RULE((raw.flags & ~kKnownChunkFlags) != 0, flags, "flags has an unknown bit"),
              CHUNK_RULE((raw.flags & kChunkHole) != 0, flags, "flags marks a hole"),
              CHUNK_RULE(raw.uncompressed_size == 0 || raw.uncompressed_size > blob.chunk_size,
                         uncompressed_size, "uncompressed_size is not 1 to chunk_size"),
              CHUNK_RULE(offset % image.block_size != 0, uncompressed_offset,
                         "uncompressed_offset is not a multiple of 4096"),
              CHUNK_RULE(!in_range(offset, size, blob.uncompressed_size), uncompressed_offset,
                         "uncompressed range lies outside the blob")});
}

Result<void> check_stored(const Image& image, const Blob& blob, const rafs_chunk_info& raw, uint64_t at) {
  // Members of a batch have no place of their own here; blob.meta says where they are.
  // Chunks of zran say where they lie only roughly.
  bool member =
      blob.has(kBlobZran) || (blob.has(kBlobBatch) && raw.compressed_size == 0 && raw.compressed_offset == 0);
  bool raw_size_differs = !(raw.flags & kChunkCompressed) && !blob.encrypted && !member &&
                          !blob.has(kBlobBatch) && raw.compressed_size != raw.uncompressed_size;
  return check_rules(
      image, {CHUNK_RULE(!member && raw.compressed_size == 0, compressed_size, "compressed_size is 0"),
              CHUNK_RULE(!member && !in_range(raw.compressed_offset, raw.compressed_size,
                                              blob.compressed_data_size()),
                         compressed_offset, "compressed range lies outside the chunk data of the blob"),
              CHUNK_RULE(raw_size_differs, compressed_size,
                         "compressed_size of a raw chunk is not its uncompressed_size")});
}

Chunk take_chunk(const rafs_chunk_info& raw) {
  Chunk chunk;
  std::memcpy(chunk.digest.bytes.data(), raw.digest, sizeof(raw.digest));
  chunk.blob_index = raw.blob_index;
  chunk.index = raw.index;
  chunk.flags = raw.flags;
  chunk.compressed_size = raw.compressed_size;
  chunk.uncompressed_size = raw.uncompressed_size;
  chunk.crc32 = raw.crc32;
  chunk.compressed_offset = raw.compressed_offset;
  chunk.uncompressed_offset = raw.uncompressed_offset;
  chunk.file_offset = raw.file_offset;
  return chunk;
}

// Chunks of a blob follow one another in its cache image in the order of their index.
Result<void> check_order(const Image& image, const ChunkIndex& index) {
  std::optional<ChunkPlace> before;
  for (ChunkId id : index.sorted()) {
    ChunkPlace chunk = index[id];
    if (before && before->blob_index == chunk.blob_index) {
      uint64_t end = align_up(before->uncompressed_offset + before->uncompressed_size, image.block_size);
      if (chunk.uncompressed_offset < end)
        return image.corrupt(image.chunk_table_offset + id * sizeof(rafs_chunk_info) +
                                 offsetof(rafs_chunk_info, uncompressed_offset),
                             "chunk table: uncompressed_offset overlaps the chunk with a smaller index");
    }
    before = chunk;
  }
  return {};
}

}  // namespace

template <typename Info>
static ChunkPlace place_of(const Info& chunk) {
  return {chunk.blob_index, chunk.index, chunk.uncompressed_size, chunk.uncompressed_offset};
}

ChunkId ChunkIndex::add(const Chunk& chunk) {
  auto id = narrow<ChunkId>(infos_.size() + added_.size());
  added_.push_back(chunk);
  added_by_key_.emplace(chunk_key(chunk.blob_index, chunk.index), id);
  return id;
}

ChunkPlace ChunkIndex::operator[](ChunkId id) const {
  if (id >= infos_.size()) return place_of(added_[id - infos_.size()]);
  return read_ ? place_of((*read_)[id]) : place_of(infos_[id]);
}

uint64_t ChunkIndex::key(ChunkId id) const {
  ChunkPlace chunk = (*this)[id];
  return chunk_key(chunk.blob_index, chunk.index);
}

bool ChunkIndex::build(Infos infos, ChunkId* first, ChunkId* second) {
  infos_ = infos;
  sorted_.resize(infos.size());
  std::iota(sorted_.begin(), sorted_.end(), 0);
  std::sort(sorted_.begin(), sorted_.end(),
            [this](ChunkId a, ChunkId b) { return key(a) != key(b) ? key(a) < key(b) : a < b; });
  auto twin = std::adjacent_find(sorted_.begin(), sorted_.end(),
                                 [this](ChunkId a, ChunkId b) { return key(a) == key(b); });
  if (twin == sorted_.end()) return true;
  *first = *twin;
  *second = *(twin + 1);
  return false;
}

ChunkId ChunkIndex::find(uint32_t blob_index, uint32_t index) const {
  uint64_t wanted = chunk_key(blob_index, index);
  auto found = std::lower_bound(sorted_.begin(), sorted_.end(), wanted,
                                [this](ChunkId id, uint64_t other) { return key(id) < other; });
  if (found != sorted_.end() && key(*found) == wanted) return *found;
  auto added = added_by_key_.find(wanted);
  return added == added_by_key_.end() ? kNoChunk : added->second;
}

Result<void> parse_chunk_infos(Image& image, Tree& tree, ChunkIndex& index, bool keep) {
  uint64_t count = image.chunk_table_size / sizeof(rafs_chunk_info);
  auto raws = structs_at<rafs_chunk_info>(image.bytes, image.chunk_table_offset, count);
  if (keep) tree.chunks.reserve(raws.size());
  uint64_t at = image.chunk_table_offset;
  for (const rafs_chunk_info& raw : raws) {
    if (raw.blob_index >= tree.blobs.size())
      return image.corrupt(at + offsetof(rafs_chunk_info, blob_index),
                           "chunk table: blob_index is not that of a blob");
    const Blob& blob = tree.blobs[raw.blob_index];
    TRY(check_address(image, blob, raw, at));
    TRY(check_stored(image, blob, raw, at));
    if (keep) tree.chunks.push_back(take_chunk(raw));
    at += sizeof(raw);
  }
  ChunkId first = 0, second = 0;
  if (!index.build(raws, &first, &second))
    return image.corrupt(image.chunk_table_offset + second * sizeof(rafs_chunk_info),
                         fmt::format("chunk table: index is that of entry {} of the same blob", first));
  return check_order(image, index);
}

}  // namespace erofs_format::reader
