#include "mkfs/chunk_pipeline.h"

#include <algorithm>

#include "erofs-format/ondisk/rafs.h"
#include "mkfs/limits.h"

namespace mkfs {

struct ChunkPipeline::Piece {
  InodeId inode = kNoInode;
  uint64_t file_offset = 0;
  uint32_t offset = 0;  // in Bundle::raw
  uint32_t size = 0;
  bool whole_file = false;
  uint64_t original_offset = 0;
  // Filled in the pool
  Digest digest;
  const Chunk* in_dictionary = nullptr;
  bool compressed = false;
  size_t stored_offset = 0;  // in Bundle::stored
  size_t stored_size = 0;
};

struct ChunkPipeline::Bundle {
  Buffer raw;
  size_t used = 0;
  std::vector<Piece> pieces;
  Buffer stored;
  Result<void> result;
  bool done = true;

  ByteView raw_of(const Piece& piece) const { return ByteView(raw).subspan(piece.offset, piece.size); }
  // What the blob gets: compressed or encrypted bytes, or the raw ones where nothing had to be done to them.
  ByteView stored_of(const Piece& piece) const {
    return piece.stored_size != 0 ? ByteView(stored).subspan(piece.stored_offset, piece.stored_size)
                                  : raw_of(piece);
  }
};

void describe_blob(const ChunkOptions& options, Blob& blob) {
  blob.chunk_size = options.chunk_size;
  blob.compressor = options.compressor;
  blob.digester = options.digester;
  blob.encrypted = options.cipher.has_value();
  if (blob.encrypted) blob.key = *options.cipher;
}

ChunkPipeline::ChunkPipeline(const ChunkOptions& options, WorkerPool& pool, BlobWriter& writer, Tree& tree,
                             Placed placed)
    : options_(options),
      pool_(pool),
      writer_(writer),
      tree_(tree),
      placed_(std::move(placed)),
      bundle_size_(std::max<size_t>(kBundleSize, options.chunk_size)),
      max_bundles_(pool.size() * kBundlesPerJob),
      scratch_(pool.size()),
      encrypted_(pool.size()),
      placed_chunks_(tree.chunks) {
  if (options_.dictionary) dictionary_blob_.assign(options_.dictionary->blobs().size(), kNoBlob);
}

Result<std::unique_ptr<ChunkPipeline>> ChunkPipeline::create(const ChunkOptions& options, WorkerPool& pool,
                                                             BlobWriter& writer, Tree& tree, Placed placed) {
  std::unique_ptr<ChunkPipeline> pipeline(new ChunkPipeline(options, pool, writer, tree, std::move(placed)));
  for (size_t i = 0; i <= pool.size(); i++) {
    TRY_ASSIGN(Encoder encoder, Encoder::create(options.compressor, options.level));
    if (i < pool.size()) {
      pipeline->encoders_.push_back(std::move(encoder));
    } else {
      pipeline->batch_encoder_ = std::make_unique<Encoder>(std::move(encoder));
    }
  }
  return pipeline;
}

ChunkPipeline::~ChunkPipeline() {
  for (Bundle* bundle : under_way_) wait_for(*bundle);
}

void ChunkPipeline::wait_for(Bundle& bundle) {
  std::unique_lock lock(mutex_);
  bundle_done_.wait(lock, [&] { return bundle.done; });
}

bool ChunkPipeline::joins_batch(const Piece& piece) const {
  // A batch too short to be encrypted as it is would grow, and readers take what has another size for
  // compressed.
  if (options_.cipher && piece.size < kCipherUnit) return false;
  return piece.whole_file && piece.size < options_.batch_size / 2;
}

// ---- in the pool

// Whether this piece is the first to show up with its chunk, and so has to compress it.
bool ChunkPipeline::claim(Bundle& bundle, uint32_t index) {
  Piece& piece = bundle.pieces[index];
  ChunkKey key{piece.digest, piece.size};
  if (options_.dictionary) piece.in_dictionary = options_.dictionary->find(key);
  if (piece.in_dictionary) return false;
  std::lock_guard lock(mutex_);
  if (placed_chunks_.find(key) != PlacedChunks::kNone) return false;
  return claims_.try_emplace(key, Claim{&bundle, index}).second;
}

// What a blob stores of raw bytes: compressed if that makes them smaller, then encrypted. `raw` itself, or
// one of the buffers.
Result<ChunkPipeline::Stored> ChunkPipeline::store(ByteView raw, Encoder& encoder, Buffer& compressed,
                                                   Buffer& encrypted) const {
  TRY_ASSIGN(ByteView smaller, encoder.compress(raw, compressed));
  Stored stored = {smaller.empty() ? raw : smaller, !smaller.empty()};
  if (!options_.cipher) return stored;
  // The size alone says of a batch whether it is compressed: what is padded must stay smaller than it was.
  if (stored.bytes.size() < kCipherUnit && raw.size() >= kCipherUnit && raw.size() <= kCipherPaddedSize)
    stored = {raw, false};
  encrypted.assign(stored.bytes.begin(), stored.bytes.end());
  TRY(encrypt_padded(*options_.cipher, encrypted));
  stored.bytes = encrypted;
  return stored;
}

Result<void> ChunkPipeline::compress(Bundle& bundle, Piece& piece, size_t worker) {
  TRY_ASSIGN(Stored stored,
             store(bundle.raw_of(piece), encoders_[worker], scratch_[worker], encrypted_[worker]));
  piece.compressed = stored.compressed;
  if (!stored.compressed && !options_.cipher) return {};
  piece.stored_offset = bundle.stored.size();
  piece.stored_size = stored.bytes.size();
  append(bundle.stored, stored.bytes);
  return {};
}

void ChunkPipeline::process(Bundle& bundle, size_t worker) {
  bundle.result = {};
  for (uint32_t i = 0; i < bundle.pieces.size() && bundle.result; i++) {
    Piece& piece = bundle.pieces[i];
    piece.digest = digest_of(options_.digester, bundle.raw_of(piece));
    bool stays = options_.places != ChunkPlaces::blob;
    if (claim(bundle, i) && !stays && !joins_batch(piece)) bundle.result = compress(bundle, piece, worker);
  }
  std::lock_guard lock(mutex_);
  bundle.done = true;
  bundle_done_.notify_all();
}

// ---- on the caller's thread

Result<MutableBytes> ChunkPipeline::room(uint32_t size) {
  if (filling_ && (bundle_size_ - filling_->used < size || filling_->pieces.size() == kBundleChunks))
    submit();
  if (!filling_) {
    // Append what is ready even if nothing forces us to: the next reader of a FIFO waits for it.
    while (!under_way_.empty()) {
      if (under_way_.size() < max_bundles_) {
        std::lock_guard lock(mutex_);
        if (!under_way_.front()->done) break;
      }
      TRY(append_oldest());
    }
    if (free_.empty()) {
      free_.push_back(bundles_.emplace_back(std::make_unique<Bundle>()).get());
      free_.back()->raw.resize(bundle_size_);
    }
    filling_ = free_.back();
    free_.pop_back();
  }
  return MutableBytes(filling_->raw).subspan(filling_->used, size);
}

void ChunkPipeline::add(InodeId inode, uint64_t file_offset, uint32_t size, bool whole_file,
                        uint64_t original_offset) {
  Piece& piece = filling_->pieces.emplace_back();
  piece.inode = inode;
  piece.file_offset = file_offset;
  piece.offset = narrow<uint32_t>(filling_->used);
  piece.size = size;
  piece.whole_file = whole_file;
  piece.original_offset = original_offset;
  filling_->used += size;
}

void ChunkPipeline::submit() {
  Bundle* bundle = std::exchange(filling_, nullptr);
  bundle->done = false;
  under_way_.push_back(bundle);
  pool_.submit([this, bundle](size_t worker) { process(*bundle, worker); });
}

Result<void> ChunkPipeline::append_oldest() {
  Bundle& bundle = *under_way_.front();
  wait_for(bundle);
  TRY(bundle.result);
  for (Piece& piece : bundle.pieces) TRY(append_piece(bundle, piece));
  under_way_.pop_front();
  bundle.pieces.clear();
  bundle.stored.clear();
  bundle.used = 0;
  free_.push_back(&bundle);
  return {};
}

Result<void> ChunkPipeline::append_piece(Bundle& bundle, Piece& piece) {
  ChunkKey key{piece.digest, piece.size};
  // Only this thread places chunks, so it may look without the lock.
  ChunkId known = placed_chunks_.find(key);
  if (known != PlacedChunks::kNone) {
    duplicates_++;
    placed_(piece.inode, known);
    return {};
  }
  Chunk chunk;
  if (piece.in_dictionary) {
    chunk = dictionary_chunk(piece, *piece.in_dictionary);
  } else {
    Claim claim = claim_of(key);
    // A later bundle may have been quicker to claim the chunk; its bytes are the same ones.
    if (claim.bundle != &bundle) wait_for(*claim.bundle);
    TRY(claim.bundle->result);
    TRY_ASSIGN(chunk, place(piece, *claim.bundle, claim.bundle->pieces[claim.piece]));
  }
  placed_(piece.inode, add_chunk(chunk));
  return {};
}

ChunkPipeline::Claim ChunkPipeline::claim_of(const ChunkKey& key) {
  std::lock_guard lock(mutex_);
  return claims_.at(key);
}

ChunkId ChunkPipeline::add_chunk(const Chunk& chunk) {
  std::lock_guard lock(mutex_);
  auto id = narrow<ChunkId>(tree_.chunks.size());
  tree_.chunks.push_back(chunk);
  placed_chunks_.add(id);
  claims_.erase(key_of(chunk));
  return id;
}

// `piece` gets its place with the bytes of its equal, `claimed` in `owner`.
Result<Chunk> ChunkPipeline::place(const Piece& piece, const Bundle& owner, const Piece& claimed) {
  if (own_blob_ == kNoBlob) {
    own_blob_ = narrow<uint32_t>(tree_.blobs.size());
    tree_.blobs.emplace_back();
  }
  ChunkSpan span;
  span.uncompressed_offset = uncompressed_end_;
  span.uncompressed_size = piece.size;
  span.encrypted = options_.cipher.has_value();
  uncompressed_end_ = align_up(uncompressed_end_ + piece.size, 4096);
  if (options_.places != ChunkPlaces::blob) {
    span.compressed_offset = piece.original_offset;
    span.compressed_size = piece.size;
    if (options_.places == ChunkPlaces::tar) span.uncompressed_offset = piece.original_offset;
  } else if (joins_batch(piece)) {
    TRY(join_batch(owner.raw_of(claimed), span));
  } else {
    TRY(flush_batch());
    TRY(place_alone(owner, claimed, span));
  }
  Chunk chunk = own_chunk(piece, span);
  table_.chunks.push_back(span);
  return chunk;
}

Result<void> ChunkPipeline::place_alone(const Bundle& owner, const Piece& claimed, ChunkSpan& span) {
  Stored stored = {owner.stored_of(claimed), claimed.compressed};
  // Its equal was thought to join a batch, so nobody compressed it.
  if (joins_batch(claimed)) {
    TRY_ASSIGN(stored, store(owner.raw_of(claimed), *batch_encoder_, batch_scratch_, batch_encrypted_));
  }
  TRY_ASSIGN(span.compressed_offset, writer_.append(stored.bytes));
  span.compressed_size = narrow<uint32_t>(stored.bytes.size());
  span.compressed = stored.compressed;
  return {};
}

// The rule of the reference builder: a batch never grows to batch_size.
Result<void> ChunkPipeline::join_batch(ByteView raw, ChunkSpan& span) {
  if (batch_.size() + raw.size() >= options_.batch_size) TRY(flush_batch());
  if (batch_.empty()) batch_first_ = narrow<uint32_t>(table_.chunks.size());
  span.in_batch = true;
  span.compressed = true;
  span.batch = narrow<uint32_t>(table_.batches.size());
  span.offset_in_batch = narrow<uint32_t>(batch_.size());
  batch_.insert(batch_.end(), raw.begin(), raw.end());
  return {};
}

Result<void> ChunkPipeline::flush_batch() {
  if (batch_.empty()) return {};
  TRY_ASSIGN(Stored stored, store(batch_, *batch_encoder_, batch_scratch_, batch_encrypted_));
  Batch batch;
  TRY_ASSIGN(batch.compressed_offset, writer_.append(stored.bytes));
  batch.compressed_size = narrow<uint32_t>(stored.bytes.size());
  batch.uncompressed_size = narrow<uint32_t>(batch_.size());
  for (size_t i = batch_first_; i < table_.chunks.size(); i++)
    table_.chunks[i].compressed_offset = batch.compressed_offset;
  table_.batches.push_back(batch);
  batch_.clear();
  return {};
}

Chunk ChunkPipeline::own_chunk(const Piece& piece, const ChunkSpan& span) const {
  Chunk chunk;
  chunk.digest = piece.digest;
  chunk.blob_index = own_blob_;
  chunk.index = narrow<uint32_t>(table_.chunks.size());
  chunk.uncompressed_size = span.uncompressed_size;
  chunk.uncompressed_offset = span.uncompressed_offset;
  chunk.file_offset = piece.file_offset;
  if (span.encrypted) chunk.flags = ondisk::kChunkEncrypted;
  if (!span.in_batch) {  // where a batch lies, only the chunk information says
    if (span.compressed) chunk.flags |= ondisk::kChunkCompressed;
    chunk.compressed_size = span.compressed_size;
    chunk.compressed_offset = span.compressed_offset;
  }
  return chunk;
}

Chunk ChunkPipeline::dictionary_chunk(const Piece& piece, const Chunk& known) {
  uint32_t& blob = dictionary_blob_[known.blob_index];
  if (blob == kNoBlob) {
    blob = narrow<uint32_t>(tree_.blobs.size());
    tree_.blobs.push_back(options_.dictionary->blobs()[known.blob_index]);
  }
  Chunk chunk = known;
  chunk.blob_index = blob;
  chunk.file_offset = piece.file_offset;
  return chunk;
}

Result<void> ChunkPipeline::finish() {
  if (filling_) submit();
  while (!under_way_.empty()) TRY(append_oldest());
  if (table_.chunks.size() > ondisk::kRafsMaxChunkIndex)
    return make_error(Code::too_large, "the source has more than 16,777,214 chunks");
  return flush_batch();
}

}  // namespace mkfs
