// Chunks that exist already in other blobs (`--chunk-dict`, lower layers).
#pragma once

#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

// A chunk's identity: the full digest and its size.
struct ChunkKey {
  Digest digest;
  uint32_t size = 0;
  bool operator==(const ChunkKey&) const = default;
};
inline ChunkKey key_of(const Chunk& chunk) { return {chunk.digest, chunk.uncompressed_size}; }
struct ChunkKeyHash {
  size_t operator()(const ChunkKey& key) const {
    size_t hash;
    std::memcpy(&hash, key.digest.bytes.data(), sizeof hash);
    return hash;
  }
};
using ChunkKeys = std::unordered_set<ChunkKey, ChunkKeyHash>;

// Adds the blobs and chunks of `tree` to those of `known`; a blob that is there already (by its id) stays the
// one it is.
void add_chunks(Tree& known, const Tree& tree);

class Dictionary {
 public:
  // Takes the blobs and chunks of an image; of equal chunks the one of the lowest blob counts.
  explicit Dictionary(Tree tree);
  // The chunk, or null. Safe from several threads.
  const Chunk* find(const ChunkKey& key) const;
  // Of what it holds: builds against equal ones give equal blobs.
  Digest identity() const;
  const std::vector<Blob>& blobs() const { return tree_.blobs; }

 private:
  Tree tree_;
  std::unordered_map<ChunkKey, ChunkId, ChunkKeyHash> chunks_;
};

}  // namespace mkfs
