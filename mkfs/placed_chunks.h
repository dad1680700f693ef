// The chunks that have their place in an image, found by their content.
#pragma once

#include <vector>

#include "mkfs/dictionary.h"

namespace mkfs {

// Holds numbers only, four to eight bytes for each chunk; what they mean stands in the tree's chunks.
class PlacedChunks {
 public:
  static constexpr ChunkId kNone = UINT32_MAX;

  // `chunks` must live as long, and no chunk of it that was added may change.
  explicit PlacedChunks(const std::vector<Chunk>& chunks) : chunks_(chunks), slots_(1024, kNone) {}
  // kNone when no chunk has this content.
  ChunkId find(const ChunkKey& key) const { return slots_[slot_of(key)]; }
  // Its content must be new.
  void add(ChunkId id);

 private:
  size_t slot_of(const ChunkKey& key) const;

  const std::vector<Chunk>& chunks_;
  std::vector<ChunkId> slots_;  // a power of two, at most half of them taken
  size_t count_ = 0;
};

}  // namespace mkfs
