#include "fscached/object/blob_layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/blob/blob_reader.h"
#include "erofs-format/ondisk/rafs.h"

namespace fscached {

namespace {

// Stored bytes of one chunk or batch: encoders never make them much larger than the raw ones.
constexpr uint64_t kMaxStoredBytes = 2 * ondisk::kMaxChunkSize;

Error chunk_error(const Blob& blob, uint32_t index, std::string_view what) {
  return make_error(Code::corrupt, fmt::format("blob {}: chunk {}: {}", blob.id, index, what));
}

bool same_place(const ChunkSpan& a, const ChunkSpan& b) {
  return a.uncompressed_offset == b.uncompressed_offset && a.uncompressed_size == b.uncompressed_size &&
         a.compressed_offset == b.compressed_offset && a.compressed_size == b.compressed_size &&
         a.compressed == b.compressed && a.encrypted == b.encrypted && a.in_batch == b.in_batch &&
         a.batch == b.batch && a.offset_in_batch == b.offset_in_batch;
}

// Chunks name them by number, so all of them must be the same.
bool same_groups(const ChunkTable& a, const ChunkTable& b) {
  auto same_batch = [](const Batch& x, const Batch& y) {
    return x.compressed_offset == y.compressed_offset && x.compressed_size == y.compressed_size &&
           x.uncompressed_size == y.uncompressed_size;
  };
  auto same_start = [](const Checkpoint& x, const Checkpoint& y) {
    return x.dictionary_offset == y.dictionary_offset && x.dictionary_size == y.dictionary_size &&
           x.byte == y.byte && x.bits == y.bits;
  };
  return std::equal(a.batches.begin(), a.batches.end(), b.batches.begin(), b.batches.end(), same_batch) &&
         std::equal(a.checkpoints.begin(), a.checkpoints.end(), b.checkpoints.begin(), b.checkpoints.end(),
                    same_start) &&
         a.dictionaries == b.dictionaries;
}

bool same_blob(const Blob& a, const Blob& b) {
  return a.compressor == b.compressor && a.digester == b.digester && a.encrypted == b.encrypted &&
         a.key.key == b.key.key && a.key.iv == b.key.iv && a.uncompressed_size == b.uncompressed_size;
}

}  // namespace

uint64_t BlobLayout::file_size() const {
  // A device without a byte is none to the kernel.
  return std::max<uint64_t>(align_up(blob_.uncompressed_size, 4096), 4096);
}

Result<void> BlobLayout::index() {
  digests_.resize(table_.chunks.size());
  batches_.resize(table_.batches.size());
  for (uint32_t i = 0; i < digests_.size(); i++) {
    if (digests_[i].is_zero()) continue;
    const ChunkSpan& span = table_.chunks[i];
    if (span.uncompressed_size == 0 || span.uncompressed_size > ondisk::kMaxChunkSize)
      return chunk_error(blob_, i, fmt::format("has {} bytes", span.uncompressed_size));
    if (span.uncompressed_offset % 4096 != 0 ||
        !in_range(span.uncompressed_offset, padded_size(span), file_size()))
      return chunk_error(blob_, i,
                         fmt::format("lies at byte {} of the cache file", span.uncompressed_offset));
    if (stored_range(table_, i).size > kMaxStoredBytes)
      return chunk_error(blob_, i, fmt::format("has {} stored bytes", stored_range(table_, i).size));
    if (span.in_batch) batches_[span.batch].push_back(i);
    order_.push_back(i);
  }
  std::sort(order_.begin(), order_.end(), [this](uint32_t a, uint32_t b) {
    return chunk(a).uncompressed_offset < chunk(b).uncompressed_offset;
  });
  for (size_t i = 1; i < order_.size(); i++) {
    const ChunkSpan& before = chunk(order_[i - 1]);
    if (before.uncompressed_offset + padded_size(before) > chunk(order_[i]).uncompressed_offset)
      return chunk_error(blob_, order_[i], fmt::format("overlaps chunk {}", order_[i - 1]));
  }
  return {};
}

Result<std::shared_ptr<const BlobLayout>> BlobLayout::create(Blob blob, ChunkTable table,
                                                             std::vector<Digest> digests) {
  auto layout = std::make_shared<BlobLayout>();
  layout->blob_ = std::move(blob);
  layout->table_ = std::move(table);
  layout->digests_ = std::move(digests);
  if (layout->digests_.size() > layout->table_.chunks.size())
    return chunk_error(layout->blob_, static_cast<uint32_t>(layout->table_.chunks.size()),
                       "is not in the chunk information");
  TRY(layout->index());
  return std::shared_ptr<const BlobLayout>(std::move(layout));
}

Result<std::shared_ptr<const BlobLayout>> BlobLayout::merge(const BlobLayout& one, const BlobLayout& other) {
  if (!same_blob(one.blob_, other.blob_))
    return make_error(Code::corrupt,
                      fmt::format("blob {}: another mounted image describes it differently", one.blob_.id));
  ChunkTable table = one.table_;
  std::vector<Digest> digests = one.digests_;
  size_t count = std::max(table.chunks.size(), other.table_.chunks.size());
  table.chunks.resize(count);
  digests.resize(count);
  if (table.batches.empty()) {
    table.batches = other.table_.batches;
    table.checkpoints = other.table_.checkpoints;
    table.dictionaries = other.table_.dictionaries;
  } else if (!other.table_.batches.empty() && !same_groups(table, other.table_)) {
    return make_error(Code::corrupt,
                      fmt::format("blob {}: another mounted image has other batches of it", one.blob_.id));
  }
  for (uint32_t i : other.order_) {
    if (digests[i].is_zero()) {
      table.chunks[i] = other.table_.chunks[i];
      digests[i] = other.digests_[i];
    } else if (digests[i] != other.digests_[i] || !same_place(table.chunks[i], other.table_.chunks[i])) {
      return chunk_error(one.blob_, i, "another mounted image describes it differently");
    }
  }
  return create(one.blob_, std::move(table), std::move(digests));
}

Result<void> BlobLayout::verify_pages(uint32_t index, ByteView pages) const {
  size_t size = chunk(index).uncompressed_size;
  TRY(verify_chunk(blob_, digest(index), pages.first(size)));
  ByteView padding = pages.subspan(size);
  if (std::any_of(padding.begin(), padding.end(), [](uint8_t byte) { return byte != 0; }))
    return make_error(Code::digest_mismatch, "what lies behind it is not zero");
  return {};
}

std::span<const uint32_t> BlobLayout::chunks_in(uint64_t offset, uint64_t count) const {
  uint64_t end = 0;
  if (!checked_add(offset, count, &end)) end = UINT64_MAX;
  auto first = std::partition_point(order_.begin(), order_.end(), [&](uint32_t i) {
    return chunk(i).uncompressed_offset + padded_size(chunk(i)) <= offset;
  });
  auto last = std::partition_point(first, order_.end(),
                                   [&](uint32_t i) { return chunk(i).uncompressed_offset < end; });
  return {first, last};
}

}  // namespace fscached
