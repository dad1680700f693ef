// File contents -> chunks in a blob. The caller's thread reads and appends, in order; the
// pool digests and compresses bundles of chunks. The blob does not depend on the
// number of threads: a chunk gets its place from its first occurrence in the order of reading.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/base/worker_pool.h"
#include "erofs-format/blob/blob_writer.h"
#include "erofs-format/blob/chunk_table.h"
#include "mkfs/dictionary.h"
#include "mkfs/placed_chunks.h"

namespace mkfs {

// Where a chunk's bytes go. `original`: they stay in the raw tar, which chunks then say as their compressed
// offset; `tar`: that is their place in the cache image, too.
enum class ChunkPlaces { blob, original, tar };

struct ChunkOptions {
  ChunkPlaces places = ChunkPlaces::blob;
  Compressor compressor = Compressor::zstd;
  int level = 0;
  Digester digester = Digester::blake3;
  uint32_t chunk_size = 0x100000;
  uint32_t batch_size = 0;               // 0 = no batches
  std::optional<CipherKey> cipher = {};  // chunks are encrypted with it
  const Dictionary* dictionary = nullptr;
};
// What a blob made with them says of itself.
void describe_blob(const ChunkOptions& options, Blob& blob);

class ChunkPipeline {
 public:
  // Called in order of reading, on the caller's thread: the next chunk of `inode`.
  using Placed = std::function<void(InodeId inode, ChunkId chunk)>;

  // `tree` receives chunks and blobs.
  static Result<std::unique_ptr<ChunkPipeline>> create(const ChunkOptions& options, WorkerPool& pool,
                                                       BlobWriter& writer, Tree& tree, Placed placed);
  // Waits for the pool to let go of its bundles.
  ~ChunkPipeline();

  // Room for the next chunk of `size` bytes; waits while too many bundles are under way.
  Result<MutableBytes> room(uint32_t size);
  // The room is filled. `whole_file`: the file has this chunk only.
  // `original_offset`: its first byte in the raw tar, where it stays there.
  void add(InodeId inode, uint64_t file_offset, uint32_t size, bool whole_file, uint64_t original_offset = 0);
  // Everything is appended when it returns.
  Result<void> finish();

  const ChunkTable& table() const { return table_; }
  ChunkTable take_table() { return std::move(table_); }
  // Index of the blob being written in the tree's blobs; only if table() has chunks.
  uint32_t own_blob() const { return own_blob_; }
  uint64_t duplicates() const { return duplicates_; }

 private:
  struct Piece;
  struct Bundle;
  // Who compresses a chunk that has no place yet.
  struct Claim {
    Bundle* bundle = nullptr;
    uint32_t piece = 0;
  };
  static constexpr uint32_t kNoBlob = UINT32_MAX;

  ChunkPipeline(const ChunkOptions& options, WorkerPool& pool, BlobWriter& writer, Tree& tree, Placed placed);

  // In the pool
  void process(Bundle& bundle, size_t worker);
  bool claim(Bundle& bundle, uint32_t piece);
  Result<void> compress(Bundle& bundle, Piece& piece, size_t worker);
  struct Stored {
    ByteView bytes;
    bool compressed = false;
  };
  Result<Stored> store(ByteView raw, Encoder& encoder, Buffer& compressed, Buffer& encrypted) const;

  // On the caller's thread
  void submit();
  Result<void> append_oldest();
  Result<void> append_piece(Bundle& bundle, Piece& piece);
  Result<Chunk> place(const Piece& piece, const Bundle& owner, const Piece& claimed);
  Result<void> place_alone(const Bundle& owner, const Piece& claimed, ChunkSpan& span);
  Result<void> join_batch(ByteView raw, ChunkSpan& span);
  Result<void> flush_batch();
  Claim claim_of(const ChunkKey& key);
  ChunkId add_chunk(const Chunk& chunk);
  Chunk own_chunk(const Piece& piece, const ChunkSpan& span) const;
  Chunk dictionary_chunk(const Piece& piece, const Chunk& known);
  void wait_for(Bundle& bundle);
  bool joins_batch(const Piece& piece) const;

  ChunkOptions options_;
  WorkerPool& pool_;
  BlobWriter& writer_;
  Tree& tree_;
  Placed placed_;
  size_t bundle_size_;
  size_t max_bundles_;

  std::vector<Encoder> encoders_;  // by worker
  std::vector<Buffer> scratch_;    // by worker
  std::vector<Buffer> encrypted_;  // by worker
  std::unique_ptr<Encoder> batch_encoder_;

  std::vector<std::unique_ptr<Bundle>> bundles_;
  std::vector<Bundle*> free_;
  Bundle* filling_ = nullptr;
  std::deque<Bundle*> under_way_;  // oldest first

  std::mutex mutex_;  // of the tree's chunks, placed_chunks_, claims_ and Bundle::done
  std::condition_variable bundle_done_;
  PlacedChunks placed_chunks_;
  std::unordered_map<ChunkKey, Claim, ChunkKeyHash> claims_;

  ChunkTable table_;
  uint64_t uncompressed_end_ = 0;
  uint64_t duplicates_ = 0;
  uint32_t own_blob_ = kNoBlob;
  std::vector<uint32_t> dictionary_blob_;  // index in the dictionary -> index in the tree
  Buffer batch_;                           // raw bytes of the open batch
  Buffer batch_scratch_;
  Buffer batch_encrypted_;
  uint32_t batch_first_ = 0;  // first chunk of the open batch
};

}  // namespace mkfs
