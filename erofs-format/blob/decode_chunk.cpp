#include <fmt/format.h>

#include "erofs-format/blob/blob_reader.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

namespace {

// `stored` or, when encrypted, its plain bytes in `scratch`.
Result<ByteView> plain_bytes(const Blob& blob, bool encrypted, ByteView stored, Buffer& scratch) {
  if (!encrypted) return stored;
  scratch.assign(stored.begin(), stored.end());
  TRY_ASSIGN(size_t size, decrypt_padded(blob.key, scratch));
  return ByteView(scratch).first(size);
}

Result<void> expand(Compressor compressor, bool compressed, ByteView input, Decoder& decoder,
                    MutableBytes raw) {
  if (compressed) return decoder.decompress(compressor, input, raw);
  if (input.size() != raw.size())
    return make_error(Code::corrupt, fmt::format("{} raw bytes where {} belong", input.size(), raw.size()));
  if (!raw.empty()) std::memcpy(raw.data(), input.data(), raw.size());
  return {};
}

Result<void> decode_single(const Blob& blob, const ChunkSpan& span, ByteView stored, Decoder& decoder,
                           Buffer& scratch, MutableBytes raw) {
  TRY_ASSIGN(ByteView input, plain_bytes(blob, span.encrypted, stored, scratch));
  return expand(blob.compressor, span.compressed, input, decoder, raw);
}

}  // namespace

Result<void> decode_batch(const Blob& blob, const ChunkTable& table, uint32_t batch_index, ByteView stored,
                          Decoder& decoder, Buffer& scratch, MutableBytes raw) {
  const Batch& batch = table.batches[batch_index];
  if (raw.size() != batch.uncompressed_size || stored.size() != batch.compressed_size)
    return make_error(Code::internal, "batch: buffers of the wrong size");
  if (!table.checkpoints.empty()) {
    const Checkpoint& checkpoint = table.checkpoints[batch_index];
    return inflate_from({table.dictionary(checkpoint), checkpoint.byte, checkpoint.bits}, stored, raw);
  }
  TRY_ASSIGN(ByteView input, plain_bytes(blob, blob.encrypted, stored, scratch));
  return expand(blob.compressor, batch.compressed_size != batch.uncompressed_size, input, decoder, raw);
}

Result<void> verify_chunk(const Blob& blob, const Digest& expected, ByteView raw) {
  // nydus-image keeps no digests of the chunks of a tar it leaves as it is; the blob's id is that of the tar.
  if (blob.has(ondisk::kBlobTarfs) && expected.is_zero()) return {};
  Digest actual = digest_of(blob.digester, raw);
  if (actual == expected) return {};
  return make_error(Code::digest_mismatch,
                    fmt::format("digest is {}, expected {}", to_hex(actual), to_hex(expected)));
}

Result<void> decode_chunk(const Blob& blob, const ChunkTable& table, uint32_t chunk_index, ByteView stored,
                          const Digest& expected, Decoder& decoder, Buffer& scratch, MutableBytes raw) {
  const ChunkSpan& span = table.chunks[chunk_index];
  if (raw.size() != span.uncompressed_size)
    return make_error(Code::corrupt,
                      fmt::format("chunk has {} bytes where {} belong", span.uncompressed_size, raw.size()));
  if (span.in_batch) {
    const Batch& batch = table.batches[span.batch];
    Buffer all(batch.uncompressed_size);
    TRY(decode_batch(blob, table, span.batch, stored, decoder, scratch, all));
    std::memcpy(raw.data(), all.data() + span.offset_in_batch, raw.size());
  } else {
    TRY(decode_single(blob, span, stored, decoder, scratch, raw));
  }
  return verify_chunk(blob, expected, raw);
}

}  // namespace erofs_format
