#include "erofs-format/blob/chunk_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/codec.h"
#include "erofs-format/ondisk/blob.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

using namespace ondisk;

namespace {

constexpr uint64_t kAlignment = 4096;
constexpr uint32_t kMaxChunkCount = 1u << 24;
// Chunks, and the batches that hold at least one each.
constexpr uint64_t kMaxInformationSize =
    uint64_t{kMaxChunkCount} * (sizeof(chunk_info_v2) + sizeof(batch_context));

Error corrupt(const Blob& blob, std::string_view what) {
  return make_error(Code::corrupt, fmt::format("blob {}: chunk information: {}", blob.id, what));
}

Error corrupt_chunk(const Blob& blob, size_t index, std::string_view what) {
  return make_error(Code::corrupt,
                    fmt::format("blob {}: chunk information: chunk {}: {}", blob.id, index, what));
}

Result<void> check_header(const Blob& blob, const blob_meta_header& header) {
  struct Field {
    bool differs;
    const char* name;
  };
  const Field fields[] = {
      {header.magic != kBlobMetaMagic, "magic"},
      {header.magic2 != kBlobMetaMagic, "second magic"},
      {header.ci_entries != blob.chunk_count, "ci_entries"},
      {header.ci_compressor != blob.ci_compressor, "ci_compressor"},
      {header.ci_offset != blob.ci_offset, "ci_offset"},
      {header.ci_compressed_size != blob.ci_compressed_size, "ci_compressed_size"},
      {header.ci_uncompressed_size != blob.ci_uncompressed_size, "ci_uncompressed_size"},
  };
  for (const Field& field : fields)
    if (field.differs)
      return corrupt(blob, fmt::format("header: {} is not what the bootstrap says", field.name));
  return {};
}

// The stored header, decrypted when the blob is encrypted.
Result<blob_meta_header> read_header(const Blob& blob, ByteView stored) {
  Buffer bytes(stored.begin(), stored.end());
  if (blob.encrypted) TRY(decrypt_aes_128_xts(blob.key, bytes));
  const auto& header = *struct_at<blob_meta_header>(bytes, 0);
  TRY(check_header(blob, header));
  return header;
}

Result<Buffer> read_information(const Blob& blob, ByteView stored) {
  if (blob.ci_uncompressed_size > kMaxInformationSize)
    return make_error(Code::too_large,
                      fmt::format("blob {}: chunk information: {} bytes are over the limit of {}", blob.id,
                                  blob.ci_uncompressed_size, kMaxInformationSize));
  Buffer input(stored.begin(), stored.end());
  if (blob.encrypted) {
    TRY_ASSIGN(size_t size, decrypt_padded(blob.key, input));
    input.resize(size);
  }
  auto compressor = static_cast<Compressor>(blob.ci_compressor);
  if (compressor == Compressor::none) {
    if (input.size() != blob.ci_uncompressed_size)
      return corrupt(blob, "raw size is not the uncompressed size");
    return input;
  }
  Buffer output(blob.ci_uncompressed_size);
  auto result = Decoder().decompress(compressor, input, output);
  if (!result) return std::move(result.error()).within(fmt::format("blob {}: chunk information", blob.id));
  return output;
}

ChunkSpan span_v1(const chunk_info_v1& raw) {
  uint64_t uncompressed = raw.uncompressed, compressed = raw.compressed;
  ChunkSpan span;
  span.uncompressed_offset = uncompressed & 0xffffffff000;
  span.uncompressed_size = static_cast<uint32_t>((uncompressed >> 44) | ((uncompressed & 0xf00) << 12)) + 1;
  span.compressed_offset = compressed & 0xffffffffff;
  span.compressed_size = static_cast<uint32_t>((compressed >> 44) | ((compressed >> 20) & 0xf00000)) + 1;
  span.compressed = span.compressed_size != span.uncompressed_size;
  return span;
}

ChunkSpan span_v2(const chunk_info_v2& raw) {
  uint64_t uncompressed = raw.uncompressed, compressed = raw.compressed, data = raw.data;
  auto flags = static_cast<uint8_t>(uncompressed >> 56);
  ChunkSpan span;
  span.uncompressed_offset = (uncompressed & 0xffffffff) << 12;
  span.uncompressed_size = static_cast<uint32_t>((uncompressed >> 32) & 0xffffff) + 1;
  span.compressed_offset = compressed & 0xffffffffff;
  span.compressed_size = static_cast<uint32_t>(compressed >> 40);
  span.compressed = (flags & kInfoV2Compressed) != 0;
  span.encrypted = (flags & kInfoV2Encrypted) != 0;
  span.in_batch = (flags & (kInfoV2Batch | kInfoV2Zran)) != 0;
  // Builders before v2.3.6 set the flag on members of a batch too, where the word is an address.
  span.has_crc32 = (flags & kInfoV2HasCrc32) != 0 && !span.in_batch;
  if (span.has_crc32) span.crc32 = static_cast<uint32_t>(data);
  if (span.in_batch) {
    span.batch = static_cast<uint32_t>(data >> 32);
    span.offset_in_batch = static_cast<uint32_t>(data);
  }
  return span;
}

// The table of batches or of checkpoints follows the entries; it ends the information.
Result<uint64_t> contexts_offset(const Blob& blob, const blob_meta_header& header, ByteView information,
                                 const ChunkTable& table) {
  uint64_t entries = table.chunks.size() * sizeof(chunk_info_v2);
  if (header.context_offset != entries || information.size() < entries ||
      information.size() - entries != header.context_size)
    return corrupt(blob, "header: the table of batches is not the rest of the information");
  if (header.context_count > table.chunks.size()) return corrupt(blob, "more batches than chunks");
  return entries;
}

Result<void> add_checkpoint(const Blob& blob, const zran_context& raw, ChunkTable& table) {
  auto wrong = [&](std::string_view what) {
    return corrupt(blob, fmt::format("checkpoint {}: {}", table.checkpoints.size(), what));
  };
  if (raw.in_len == 0 || raw.in_len > kMaxZranPart || raw.out_len == 0 || raw.out_len > kMaxZranPart)
    return wrong(fmt::format("sizes are not 1 to {}", kMaxZranPart));
  if (!in_range(raw.in_offset, raw.in_len, blob.compressed_data_size()))
    return wrong("lies outside the gzip stream");
  if (raw.dict_size > kMaxZranDictionary ||
      !in_range(raw.dict_offset, raw.dict_size, table.dictionaries.size()))
    return wrong("dictionary lies outside the information");
  // Readers look at three bits of it.
  if (raw.ctx_bits > 7) return wrong("more than 7 bits of the byte before");
  table.batches.push_back({raw.in_offset, raw.in_len, raw.out_len});
  table.checkpoints.push_back({raw.out_offset, raw.dict_offset, raw.dict_size, raw.ctx_byte, raw.ctx_bits});
  return {};
}

Result<void> read_checkpoints(const Blob& blob, const blob_meta_header& header, ByteView information,
                              ChunkTable& table) {
  TRY_ASSIGN(uint64_t at, contexts_offset(blob, header, information, table));
  auto raws = structs_at<zran_context>(information, at, header.context_count);
  if (raws.size() != header.context_count) return corrupt(blob, "is shorter than its checkpoints");
  ByteView dictionaries = information.subspan(at + raws.size_bytes());
  table.dictionaries.assign(dictionaries.begin(), dictionaries.end());
  for (const auto& raw : raws) TRY(add_checkpoint(blob, raw, table));
  return {};
}

Result<void> read_batches(const Blob& blob, const blob_meta_header& header, ByteView information,
                          ChunkTable& table) {
  TRY_ASSIGN(uint64_t at, contexts_offset(blob, header, information, table));
  if (header.context_size != header.context_count * uint64_t{sizeof(batch_context)})
    return corrupt(blob, "header: the table of batches is not the rest of the information");
  auto raws = structs_at<batch_context>(information, at, header.context_count);
  for (const auto& raw : raws) {
    if (raw.uncompressed_size == 0 || raw.uncompressed_size > kMaxChunkSize || raw.compressed_size == 0 ||
        raw.compressed_size > raw.uncompressed_size)
      return corrupt(blob, fmt::format("batch {}: sizes are wrong", table.batches.size()));
    table.batches.push_back({0, raw.compressed_size, raw.uncompressed_size});
  }
  return {};
}

// What the members of a batch say of it must agree, and lie inside it.
Result<void> place_in_batch(const Blob& blob, ChunkTable& table, size_t index, std::vector<bool>& placed) {
  const ChunkSpan& span = table.chunks[index];
  if (span.batch >= table.batches.size())
    return corrupt_chunk(blob, index, "batch is not in the table of batches");
  Batch& batch = table.batches[span.batch];
  if (!in_range(span.offset_in_batch, span.uncompressed_size, batch.uncompressed_size))
    return corrupt_chunk(blob, index, "lies outside its batch");
  if (!table.checkpoints.empty()) return {};
  if (span.compressed_size != 0)
    return corrupt_chunk(blob, index, "compressed size of a member of a batch is not 0");
  if (placed[span.batch] && batch.compressed_offset != span.compressed_offset)
    return corrupt_chunk(blob, index, "compressed offset is not that of its batch");
  if (!in_range(span.compressed_offset, batch.compressed_size, blob.compressed_data_size()))
    return corrupt_chunk(blob, index, "batch lies outside the chunk data");
  placed[span.batch] = true;
  batch.compressed_offset = span.compressed_offset;
  return {};
}

Result<void> check_single(const Blob& blob, const ChunkSpan& span, size_t index) {
  if (span.compressed_size == 0) return corrupt_chunk(blob, index, "compressed size is 0");
  if (!in_range(span.compressed_offset, span.compressed_size, blob.compressed_data_size()))
    return corrupt_chunk(blob, index, "lies outside the chunk data");
  if (!span.compressed && !span.encrypted && span.compressed_size != span.uncompressed_size)
    return corrupt_chunk(blob, index, "sizes of a raw chunk differ");
  if (span.encrypted && !blob.encrypted) return corrupt_chunk(blob, index, "is encrypted in a plain blob");
  return {};
}

// Chunks fill the cache image in order, without gaps, and never step back in the blob.
Result<void> check_order(const Blob& blob, const ChunkTable& table) {
  uint64_t next = 0, stored = 0;
  for (size_t i = 0; i < table.chunks.size(); i++) {
    const ChunkSpan& span = table.chunks[i];
    if (span.uncompressed_size > blob.chunk_size) return corrupt_chunk(blob, i, "is larger than chunk_size");
    // What nydus-image found twice in a gzip stream leaves a gap.
    if (blob.has(kBlobZran) ? span.uncompressed_offset < next : span.uncompressed_offset != next)
      return corrupt_chunk(blob, i, "uncompressed offset is not where the one before ends");
    if (span.compressed_offset < stored)
      return corrupt_chunk(blob, i, "compressed offset is before that of the one before");
    next = align_up(span.uncompressed_offset + span.uncompressed_size, kAlignment);
    stored = span.compressed_offset;
  }
  if (next > align_up(blob.uncompressed_size, kAlignment))
    return corrupt(blob, "chunks are longer than the blob");
  return {};
}

Result<void> check_table(const Blob& blob, ChunkTable& table) {
  std::vector<bool> placed(table.batches.size(), false);
  for (size_t i = 0; i < table.chunks.size(); i++) {
    if (table.chunks[i].in_batch) {
      TRY(place_in_batch(blob, table, i, placed));
    } else {
      TRY(check_single(blob, table.chunks[i], i));
    }
  }
  return check_order(blob, table);
}

Result<ChunkTable> parse_v1(const Blob& blob, ByteView information) {
  ChunkTable table;
  auto raws = structs_at<chunk_info_v1>(information, 0, blob.chunk_count);
  if (raws.size() != blob.chunk_count) return corrupt(blob, "is shorter than its chunks");
  table.chunks.reserve(raws.size());
  for (const auto& raw : raws) {
    if (raw.uncompressed & 0xff) return corrupt_chunk(blob, table.chunks.size(), "low bits are not 0");
    table.chunks.push_back(span_v1(raw));
  }
  return table;
}

Result<ChunkTable> parse_v2(const Blob& blob, const blob_meta_header& header, ByteView information) {
  ChunkTable table;
  auto raws = structs_at<chunk_info_v2>(information, 0, blob.chunk_count);
  if (raws.size() != blob.chunk_count) return corrupt(blob, "is shorter than its chunks");
  table.chunks.reserve(raws.size());
  for (const auto& raw : raws) {
    if (((raw.uncompressed >> 56 & kInfoV2Zran) != 0) != blob.has(kBlobZran))
      return corrupt_chunk(blob, table.chunks.size(), "does not agree with the blob on zran");
    table.chunks.push_back(span_v2(raw));
  }
  if (blob.has(kBlobZran)) {
    TRY(read_checkpoints(blob, header, information, table));
  } else if (blob.has(kBlobBatch)) {
    TRY(read_batches(blob, header, information, table));
  }
  return table;
}

}  // namespace

StoredRange stored_range(const ChunkTable& table, uint32_t chunk_index) {
  const ChunkSpan& span = table.chunks[chunk_index];
  if (!span.in_batch) return {span.compressed_offset, span.compressed_size};
  const Batch& batch = table.batches[span.batch];
  return {batch.compressed_offset, batch.compressed_size};
}

ChunkTableLocation chunk_table_location(const Blob& blob) {
  return {blob.ci_offset, blob.ci_compressed_size + sizeof(blob_meta_header)};
}

Result<ChunkTable> parse_chunk_table(const Blob& blob, ByteView stored) {
  if (stored.size() != chunk_table_location(blob).size || blob.chunk_count > kMaxChunkCount)
    return corrupt(blob, "length is not what the bootstrap says");
  TRY_ASSIGN(auto header, read_header(blob, stored.subspan(blob.ci_compressed_size)));
  TRY_ASSIGN(Buffer information, read_information(blob, stored.first(blob.ci_compressed_size)));
  ChunkTable table;
  if (blob.has(kBlobChunkInfoV2)) {
    TRY_ASSIGN(table, parse_v2(blob, header, information));
  } else {
    TRY_ASSIGN(table, parse_v1(blob, information));
  }
  TRY(check_table(blob, table));
  return table;
}

Result<ChunkTable> chunk_table_from_bootstrap(const Tree& tree, uint32_t blob_index) {
  const Blob& blob = tree.blobs[blob_index];
  if (blob.needs_chunk_information())
    return make_error(Code::invalid_argument,
                      fmt::format("blob {}: the bootstrap does not say where its batches are", blob.id));
  ChunkTable table;
  for (const Chunk& chunk : tree.chunks) {
    if (chunk.blob_index != blob_index) continue;
    if (chunk.index >= table.chunks.size()) table.chunks.resize(chunk.index + size_t{1});
    ChunkSpan& span = table.chunks[chunk.index];
    span.uncompressed_offset = chunk.uncompressed_offset;
    span.compressed_offset = chunk.compressed_offset;
    span.uncompressed_size = chunk.uncompressed_size;
    span.compressed_size = chunk.compressed_size;
    span.crc32 = chunk.crc32;
    span.has_crc32 = (chunk.flags & kChunkHasCrc32) != 0;
    span.compressed = (chunk.flags & kChunkCompressed) != 0;
    span.encrypted = blob.encrypted;
  }
  return table;
}

}  // namespace erofs_format
