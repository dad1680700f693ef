// The writing side of chunk_table.h.
#include <fmt/format.h>

#include "erofs-format/base/digest.h"
#include "erofs-format/blob/chunk_table.h"
#include "erofs-format/ondisk/blob.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

namespace {

using namespace ondisk;

constexpr uint64_t kMaxCompressedOffset = uint64_t{1} << 40;
constexpr uint64_t kMaxUncompressedOffset = uint64_t{1} << 44;

Result<void> check_span(const ChunkSpan& span, size_t index) {
  if (span.uncompressed_size == 0 || span.uncompressed_offset % 4096 != 0)
    return make_error(Code::internal, fmt::format("chunk {}: not aligned or empty", index));
  if (span.compressed_offset >= kMaxCompressedOffset || span.uncompressed_offset >= kMaxUncompressedOffset)
    return make_error(Code::too_large, fmt::format("chunk {}: the blob is larger than 1 TiB", index));
  return {};
}

chunk_info_v1 encode_v1(const ChunkSpan& span) {
  uint64_t raw = span.uncompressed_size - 1;
  uint64_t stored = span.compressed_size - 1;
  chunk_info_v1 info;
  info.uncompressed = (raw & 0xfffff) << 44 | (raw >> 20) << 8 | span.uncompressed_offset;
  info.compressed = (stored & 0xfffff) << 44 | (stored >> 20) << 40 | span.compressed_offset;
  return info;
}

chunk_info_v2 encode_v2(const ChunkSpan& span, bool zran) {
  uint64_t group = zran ? kInfoV2Zran : kInfoV2Batch;
  uint64_t flags = (span.compressed ? kInfoV2Compressed : 0) | (span.in_batch ? group : 0) |
                   (span.encrypted ? kInfoV2Encrypted : 0) | (span.has_crc32 ? kInfoV2HasCrc32 : 0);
  chunk_info_v2 info;
  info.uncompressed =
      span.uncompressed_offset >> 12 | uint64_t{span.uncompressed_size - 1} << 32 | flags << 56;
  info.compressed = span.compressed_offset | uint64_t{span.in_batch && !zran ? 0 : span.compressed_size}
                                                 << 40;
  info.data = span.in_batch ? uint64_t{span.batch} << 32 | span.offset_in_batch : uint64_t{span.crc32};
  return info;
}

void append_checkpoints(const ChunkTable& table, Buffer& data) {
  for (size_t i = 0; i < table.checkpoints.size(); i++) {
    const Checkpoint& checkpoint = table.checkpoints[i];
    zran_context context = {};
    context.in_offset = table.batches[i].compressed_offset;
    context.in_len = table.batches[i].compressed_size;
    context.out_offset = checkpoint.uncompressed_offset;
    context.out_len = table.batches[i].uncompressed_size;
    context.dict_offset = checkpoint.dictionary_offset;
    context.dict_size = checkpoint.dictionary_size;
    context.ctx_byte = checkpoint.byte;
    context.ctx_bits = checkpoint.bits;
    append(data, bytes_of(context));
  }
  append(data, table.dictionaries);
}

Result<Buffer> encode_information(const ChunkTable& table, bool v2) {
  Buffer data;
  data.reserve(table.chunks.size() * sizeof(chunk_info_v2) + table.batches.size() * sizeof(batch_context));
  for (size_t i = 0; i < table.chunks.size(); i++) {
    TRY(check_span(table.chunks[i], i));
    if (v2) {
      // 24 bits of stored size, so a 16 MiB chunk must have shrunk.
      if (table.chunks[i].compressed_size > 0xffffff)
        return make_error(Code::too_large,
                          fmt::format("chunk {}: cannot be stored in a blob with batches or encryption", i));
      append(data, bytes_of(encode_v2(table.chunks[i], !table.checkpoints.empty())));
    } else {
      append(data, bytes_of(encode_v1(table.chunks[i])));
    }
  }
  if (!table.checkpoints.empty()) {
    append_checkpoints(table, data);
    return data;
  }
  for (const auto& batch : table.batches) {
    batch_context context = {};
    context.compressed_size = batch.compressed_size;
    context.uncompressed_size = batch.uncompressed_size;
    append(data, bytes_of(context));
  }
  return data;
}

}  // namespace

Result<EncodedChunkTable> encode_chunk_table(const ChunkTable& table, uint32_t features, uint64_t ci_offset,
                                             const CipherKey* key) {
  EncodedChunkTable out;
  bool v2 = (features & kBlobChunkInfoV2) != 0;
  TRY_ASSIGN(out.data, encode_information(table, v2));
  out.uncompressed_size = out.data.size();
  out.uncompressed_digest = sha256(out.data);

  // Always zstd, whatever the chunks use: container tools extract this section through the table of
  // contents, and know raw and zstd only.
  TRY_ASSIGN(Encoder encoder, Encoder::create(Compressor::zstd));
  Buffer compressed;
  TRY_ASSIGN(ByteView smaller, encoder.compress(out.data, compressed));
  if (!smaller.empty()) {
    out.compressor = Compressor::zstd;
    out.data.assign(smaller.begin(), smaller.end());
  }
  if (key) TRY(encrypt_padded(*key, out.data));

  blob_meta_header header = {};
  header.magic = kBlobMetaMagic;
  header.features = features;
  header.ci_compressor = static_cast<uint32_t>(out.compressor);
  header.ci_entries = narrow<uint32_t>(table.chunks.size());
  header.ci_offset = ci_offset;
  header.ci_compressed_size = out.data.size();
  header.ci_uncompressed_size = out.uncompressed_size;
  if (!table.batches.empty()) {
    header.context_offset = table.chunks.size() * sizeof(chunk_info_v2);
    // Both kinds have entries of the same size.
    header.context_size = table.batches.size() * sizeof(batch_context) + table.dictionaries.size();
    header.context_count = narrow<uint32_t>(table.batches.size());
  }
  header.magic2 = kBlobMetaMagic;
  ByteView bytes = bytes_of(header);
  out.header.assign(bytes.begin(), bytes.end());
  out.header_digest = sha256(out.header);
  if (key) TRY(encrypt_padded(*key, out.header));
  return out;
}

}  // namespace erofs_format
