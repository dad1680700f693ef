#include "mkfs/repack.h"

#include <map>
#include <unordered_map>

namespace mkfs {

namespace {

// Reads, verifies and hands over every chunk; the pipeline drops what it had already.
Result<void> copy_chunks(ChunkPipeline& pipeline, const Tree& tree, BlobReader& blobs,
                         const std::vector<ChunkId>& chunks) {
  for (ChunkId id : chunks) {
    const Chunk& chunk = tree.chunks[id];
    TRY_ASSIGN(ByteView bytes, blobs.chunk(id));
    TRY_ASSIGN(MutableBytes room, pipeline.room(chunk.uncompressed_size));
    std::memcpy(room.data(), bytes.data(), bytes.size());
    pipeline.add(kNoInode, chunk.file_offset, chunk.uncompressed_size, false);
  }
  return pipeline.finish();
}

// Every chunk of the tree with the content of a new one becomes that one, in the last blob.
void point_to_new(Tree& tree, const std::vector<ChunkKey>& keys, const std::vector<ChunkId>& places,
                  const std::vector<Chunk>& made) {
  std::unordered_map<ChunkKey, ChunkId, ChunkKeyHash> moved;
  for (size_t i = 0; i < keys.size(); i++) moved.try_emplace(keys[i], places[i]);
  for (Chunk& chunk : tree.chunks) {
    auto found = moved.find(key_of(chunk));
    if (found == moved.end()) continue;
    chunk = made[found->second];
    chunk.blob_index = narrow<uint32_t>(tree.blobs.size() - 1);
  }
}

}  // namespace

Result<void> repack_chunks(Tree& tree, BlobReader& blobs, const std::vector<ChunkId>& chunks,
                           const ChunkOptions& options, uint32_t features, WorkerPool& pool, int fd,
                           const std::string& name) {
  Tree made;
  BlobWriter writer(fd, name, {});
  std::vector<ChunkId> places;
  TRY_ASSIGN(auto pipeline, ChunkPipeline::create(options, pool, writer, made,
                                                  [&](InodeId, ChunkId place) { places.push_back(place); }));
  TRY(copy_chunks(*pipeline, tree, blobs, chunks));
  Blob& blob = made.blobs.at(pipeline->own_blob());
  describe_blob(options, blob);
  TRY(writer.finish_data(pipeline->table(), {}, blob));
  TRY(writer.finish(blob));
  blob.features |= features;
  blob.id = to_hex(writer.digest());
  tree.blobs.push_back(blob);
  std::vector<ChunkKey> keys;
  keys.reserve(chunks.size());
  for (ChunkId id : chunks) keys.push_back(key_of(tree.chunks[id]));
  point_to_new(tree, keys, places, made.chunks);
  return {};
}

void drop_unused(Tree& tree) {
  std::map<std::pair<uint32_t, uint32_t>, ChunkId> first;
  std::vector<ChunkId> number;
  std::vector<Chunk> chunks;
  for (const Chunk& chunk : tree.chunks) {
    auto [known, added] = first.try_emplace({chunk.blob_index, chunk.index}, narrow<ChunkId>(chunks.size()));
    number.push_back(known->second);
    if (added) chunks.push_back(chunk);
  }
  tree.chunks = std::move(chunks);
  for (Inode& inode : tree.inodes)
    for (ChunkId& chunk : inode.chunks) chunk = number[chunk];

  std::vector<uint32_t> blob_number(tree.blobs.size(), UINT32_MAX);
  for (const Chunk& chunk : tree.chunks) blob_number[chunk.blob_index] = 0;
  std::vector<Blob> used;
  for (size_t i = 0; i < tree.blobs.size(); i++) {
    if (blob_number[i] == UINT32_MAX) continue;
    blob_number[i] = narrow<uint32_t>(used.size());
    used.push_back(std::move(tree.blobs[i]));
  }
  for (Chunk& chunk : tree.chunks) chunk.blob_index = blob_number[chunk.blob_index];
  tree.blobs = std::move(used);
}

}  // namespace mkfs
