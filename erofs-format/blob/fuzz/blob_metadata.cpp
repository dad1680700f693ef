// Any bytes as the end of a blob: the chunk information behind a 32-byte word of what the bootstrap
// says, or a table of contents.
#include "erofs-format/blob/blob_reader.h"
#include "erofs-format/blob/chunk_table.h"
#include "erofs-format/blob/toc.h"
#include "erofs-format/ondisk/rafs.h"

namespace {

using namespace erofs_format;

// What the header must repeat, taken from the header itself, so that the entries are reached.
Blob blob_of(uint8_t features, ByteView stored) {
  constexpr uint32_t kMaxChunks = 4096;
  Blob blob;
  blob.id = "fuzz";
  blob.chunk_size = 1 << 20;
  blob.features = ondisk::kBlobCapTarToc |
                  (features & (ondisk::kBlobChunkInfoV2 | ondisk::kBlobBatch | ondisk::kBlobZran));
  if (blob.has(ondisk::kBlobZran)) blob.features |= ondisk::kBlobSeparate;
  blob.compressed_size = uint64_t{1} << 30;
  const auto& header =
      *struct_at<ondisk::blob_meta_header>(stored, stored.size() - sizeof(ondisk::blob_meta_header));
  blob.chunk_count = header.ci_entries % kMaxChunks;
  blob.ci_compressor = header.ci_compressor % 4;
  blob.ci_offset = header.ci_offset;
  blob.ci_compressed_size = header.ci_compressed_size;
  blob.ci_uncompressed_size = header.ci_uncompressed_size % (kMaxChunks * sizeof(ondisk::chunk_info_v2));
  blob.uncompressed_size = uint64_t{1} << 40;
  return blob;
}

void check_spans(const ChunkTable& table) {
  for (uint32_t i = 0; i < table.chunks.size(); i++)
    if (stored_range(table, i).size == 0) __builtin_trap();
}

// The inflater starts at checkpoints of strangers, in bytes of strangers.
void check_inflating(const Blob& blob, const ChunkTable& table, ByteView stored) {
  Decoder decoder;
  Buffer scratch;
  for (uint32_t i = 0; i < table.checkpoints.size() && i < 4; i++) {
    const Batch& batch = table.batches[i];
    if (batch.compressed_size > stored.size() || batch.uncompressed_size > (1u << 16)) continue;
    Buffer raw(batch.uncompressed_size);
    (void)decode_batch(blob, table, i, stored.first(batch.compressed_size), decoder, scratch, raw);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView bytes(data, size);
  (void)parse_toc(bytes);
  if (size < 1 + sizeof(ondisk::blob_meta_header)) return 0;
  ByteView stored = bytes.subspan(1);
  Blob blob = blob_of(data[0], stored);
  blob.ci_compressed_size = stored.size() - sizeof(ondisk::blob_meta_header);
  auto table = parse_chunk_table(blob, stored);
  if (!table) return 0;
  check_spans(*table);
  check_inflating(blob, *table, stored);
  return 0;
}
