#include "erofs-format/blob/blob_reader.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

namespace {

// The batch decoded last: its members usually follow one another.
struct DecodedBatch {
  uint32_t blob_index = UINT32_MAX;
  uint32_t batch = 0;
  Buffer bytes;
};

Result<void> compare_entry(const Tree& tree, const ChunkTable& table, const Chunk& chunk) {
  if (chunk.index < table.chunks.size()) {
    const ChunkSpan& span = table.chunks[chunk.index];
    if (span.uncompressed_size == chunk.uncompressed_size &&
        span.uncompressed_offset == chunk.uncompressed_offset)
      return {};
  }
  return make_error(Code::corrupt,
                    fmt::format("blob {}: chunk {}: chunk information is not what the bootstrap says",
                                tree.blobs[chunk.blob_index].id, chunk.index));
}

}  // namespace

struct BlobReader::State {
  const Tree& tree;
  std::vector<BlobFile> files;
  std::vector<BlobFile> meta_files;  // SEPARATE blobs; the others have none open here
  std::vector<ChunkTable> tables;
  Decoder decoder;
  Buffer stored;
  Buffer scratch;
  Buffer raw;
  DecodedBatch batch;

  Result<ByteView> read_stored(uint32_t blob_index, StoredRange range) {
    stored.resize(range.size);
    const BlobFile& file = files[blob_index];
    TRY(os::pread_exact(file.fd.get(), range.offset, stored, file.path));
    return ByteView(stored);
  }
  Result<ByteView> decode(const Chunk& chunk);
  Result<ByteView> decode_member(const Chunk& chunk, const ChunkSpan& span);
};

Result<ByteView> BlobReader::State::decode_member(const Chunk& chunk, const ChunkSpan& span) {
  const Blob& blob = tree.blobs[chunk.blob_index];
  const ChunkTable& table = tables[chunk.blob_index];
  if (batch.blob_index != chunk.blob_index || batch.batch != span.batch) {
    batch.blob_index = UINT32_MAX;
    batch.bytes.resize(table.batches[span.batch].uncompressed_size);
    TRY_ASSIGN(ByteView bytes, read_stored(chunk.blob_index, stored_range(table, chunk.index)));
    TRY(decode_batch(blob, table, span.batch, bytes, decoder, scratch, batch.bytes));
    batch.blob_index = chunk.blob_index;
    batch.batch = span.batch;
  }
  ByteView member = ByteView(batch.bytes).subspan(span.offset_in_batch, span.uncompressed_size);
  TRY(verify_chunk(blob, chunk.digest, member));
  return member;
}

Result<ByteView> BlobReader::State::decode(const Chunk& chunk) {
  const ChunkTable& table = tables[chunk.blob_index];
  TRY(compare_entry(tree, table, chunk));
  const ChunkSpan& span = table.chunks[chunk.index];
  if (span.in_batch) return decode_member(chunk, span);
  raw.resize(span.uncompressed_size);
  TRY_ASSIGN(ByteView bytes, read_stored(chunk.blob_index, stored_range(table, chunk.index)));
  TRY(decode_chunk(tree.blobs[chunk.blob_index], table, chunk.index, bytes, chunk.digest, decoder, scratch,
                   raw));
  return ByteView(raw);
}

Result<BlobFile> open_blob_file(const std::string& name, const std::vector<std::string>& directories) {
  std::string tried;
  for (const std::string& directory : directories) {
    BlobFile file;
    file.path.append(directory).append("/").append(name);
    auto fd = os::open(file.path, O_RDONLY);
    if (!fd && fd.error().code != Code::not_found) return std::move(fd).error();
    tried.append(" ").append(directory);
    if (!fd) continue;
    file.fd = std::move(*fd);
    TRY_ASSIGN(struct stat status, os::stat_of(file.fd.get(), file.path));
    if (!S_ISREG(status.st_mode)) return make_error(Code::io, file.path + ": is not a regular file");
    file.size = static_cast<uint64_t>(status.st_size);
    return file;
  }
  return make_error(Code::not_found, fmt::format("blob {}: is not in{}", name, tried));
}

Result<ChunkTable> read_chunk_table(const Tree& tree, uint32_t blob_index, const BlobFile& file) {
  const Blob& blob = tree.blobs[blob_index];
  ChunkTableLocation location = chunk_table_location(blob);
  if (blob.ci_uncompressed_size == 0) return chunk_table_from_bootstrap(tree, blob_index);
  if (!in_range(location.offset, location.size, file.size))
    return make_error(Code::corrupt,
                      fmt::format("{}: byte {}: chunk information of {} bytes lies outside the blob",
                                  file.path, location.offset, location.size));
  Buffer stored(location.size);
  TRY(os::pread_exact(file.fd.get(), location.offset, stored, file.path));
  return parse_chunk_table(blob, stored);
}

BlobReader::BlobReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlobReader::~BlobReader() = default;

Result<std::unique_ptr<BlobReader>> BlobReader::open(const Tree& tree,
                                                     const std::vector<std::string>& directories) {
  std::unique_ptr<State> state(new State{tree, {}, {}, {}, {}, {}, {}, {}, {}});
  for (uint32_t i = 0; i < tree.blobs.size(); i++) {
    TRY_ASSIGN(BlobFile file, open_blob_file(tree.blobs[i].id, directories));
    BlobFile meta;
    if (tree.blobs[i].has(ondisk::kBlobSeparate)) {
      TRY_ASSIGN(meta, open_blob_file(tree.blobs[i].meta_id(), directories));
    }
    TRY_ASSIGN(ChunkTable table, read_chunk_table(tree, i, meta.fd.valid() ? meta : file));
    state->files.push_back(std::move(file));
    state->meta_files.push_back(std::move(meta));
    state->tables.push_back(std::move(table));
  }
  return std::unique_ptr<BlobReader>(new BlobReader(std::move(state)));
}

Result<ByteView> BlobReader::chunk(ChunkId id) {
  const Chunk& chunk = state_->tree.chunks[id];
  auto bytes = state_->decode(chunk);
  if (!bytes)
    return std::move(bytes.error())
        .within(fmt::format("blob {}: chunk {} at byte {}", state_->tree.blobs[chunk.blob_index].id,
                            chunk.index, chunk.compressed_offset));
  return bytes;
}

Result<Digest> BlobReader::file_digest(InodeId id) {
  Sha256 hash;
  for (ChunkId chunk_id : state_->tree.inodes[id].chunks) {
    TRY_ASSIGN(ByteView bytes, chunk(chunk_id));
    hash.update(bytes);
  }
  return hash.digest();
}

const BlobFile& BlobReader::file(uint32_t blob_index) const { return state_->files[blob_index]; }
const BlobFile& BlobReader::meta_file(uint32_t blob_index) const {
  const BlobFile& meta = state_->meta_files[blob_index];
  return meta.fd.valid() ? meta : file(blob_index);
}
const ChunkTable& BlobReader::table(uint32_t blob_index) const { return state_->tables[blob_index]; }

}  // namespace erofs_format
