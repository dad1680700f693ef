#include "erofs-format/blob/blob_writer.h"

#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

using namespace ondisk;

BlobWriter::BlobWriter(int fd, std::string name, BlobWriterOptions options)
    : stream_(fd, std::move(name)), options_(options) {}

Result<void> BlobWriter::write(ByteView bytes) {
  size_ += bytes.size();
  return stream_.write(bytes);
}

// Plain blobs have no headers at all.
Result<void> BlobWriter::end_section(const char* name, uint64_t size) {
  if (!options_.toc && !options_.inline_meta) return {};
  return write(bytes_of(section_header(name, size)));
}

Result<uint64_t> BlobWriter::append(ByteView stored) {
  uint64_t offset = size_;
  TRY(write(stored));
  data_size_ = size_;
  return offset;
}

Result<void> BlobWriter::finish_data(const ChunkTable& table, const std::vector<Digest>& digests,
                                     Blob& blob) {
  blob.features = kBlobAligned | kBlobCapTarToc;
  if (options_.separate) blob.features |= kBlobSeparate | kBlobChunkInfoV2;
  if (!table.checkpoints.empty()) {
    blob.features |= kBlobZran;
  } else if (!table.batches.empty()) {
    blob.features |= kBlobBatch | kBlobChunkInfoV2;
  }
  if (blob.encrypted) blob.features |= kBlobEncrypted | kBlobChunkInfoV2;
  if (options_.inline_meta) blob.features |= kBlobInlinedFsMeta;
  if (options_.toc) blob.features |= kBlobInlinedChunkDigest | kBlobHasToc;
  if (options_.toc || options_.inline_meta) blob.features |= kBlobHasTarHeader;
  blob.chunk_count = narrow<uint32_t>(table.chunks.size());
  blob.uncompressed_size = 0;
  if (table.chunks.empty()) return {};
  const ChunkSpan& last = table.chunks.back();
  blob.uncompressed_size = align_up(last.uncompressed_offset + last.uncompressed_size, 4096);

  if (!options_.separate) TRY(end_section(kSectionBlob, data_size_));
  // What the table of contents calls the digest of image.blob covers the header that follows it too: all
  // that was written so far.
  TRY(stream_.drain());
  Digest section_digest = stream_.digest();
  blob.ci_offset = size_;
  TRY_ASSIGN(EncodedChunkTable encoded,
             encode_chunk_table(table, blob.features, size_, blob.encrypted ? &blob.key : nullptr));
  blob.ci_compressor = static_cast<uint32_t>(encoded.compressor);
  blob.ci_compressed_size = encoded.data.size();
  blob.ci_uncompressed_size = encoded.uncompressed_size;
  TRY(write(encoded.data));
  TRY(write(encoded.header));
  TRY(end_section(kSectionMeta, encoded.data.size() + encoded.header.size()));
  if (!options_.separate) blob.compressed_size = size_;
  if (!options_.toc) return {};

  if (!options_.separate)
    toc_.push_back({kSectionBlob, kTocRaw, section_digest, 0, data_size_, blob.uncompressed_size});
  toc_.push_back({kSectionMeta, encoded.compressor == Compressor::zstd ? kTocZstd : kTocRaw,
                  encoded.uncompressed_digest, blob.ci_offset, encoded.data.size(),
                  encoded.uncompressed_size});
  toc_.push_back({kSectionMetaHeader, kTocRaw, encoded.header_digest, blob.ci_offset + encoded.data.size(),
                  encoded.header.size(), encoded.header.size()});
  ByteView array(digests.empty() ? nullptr : digests[0].bytes.data(), digests.size() * sizeof(Digest));
  toc_.push_back({kSectionDigest, kTocRaw, sha256(array), size_, array.size(), array.size()});
  TRY(write(array));
  TRY(end_section(kSectionDigest, array.size()));
  if (!options_.separate) blob.compressed_size = size_;
  return {};
}

Result<void> BlobWriter::append_bootstrap(ByteView bootstrap) {
  uint64_t offset = size_;
  if (options_.toc) {
    TRY(compress_zstd_in_pieces(bootstrap, [this](ByteView piece) { return write(piece); }));
  } else {
    TRY(write(bootstrap));
  }
  uint64_t size = size_ - offset;
  TRY(end_section(kSectionBoot, size));
  uint32_t flags = options_.toc ? kTocZstd : kTocRaw;
  toc_.push_back({kSectionBoot, flags, sha256(bootstrap), offset, size, bootstrap.size()});
  return {};
}

Result<void> BlobWriter::finish(Blob& blob) {
  if (options_.toc) {
    Buffer toc = encode_toc(toc_);
    TRY(write(toc));
    blob.toc_size = narrow<uint32_t>(toc.size());
    blob.toc_digest = toc_digest(toc);
  }
  // Blobs with an inlined bootstrap keep the size they had before it (nydus-rafs-v6.md 2.6).
  if (!options_.inline_meta) (options_.separate ? blob.meta_size : blob.compressed_size) = size_;
  return stream_.drain();
}

}  // namespace erofs_format
