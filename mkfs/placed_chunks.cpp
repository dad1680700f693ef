#include "mkfs/placed_chunks.h"

#include <utility>

namespace mkfs {

// The slot that holds the chunk, or the free one where it belongs.
size_t PlacedChunks::slot_of(const ChunkKey& key) const {
  size_t mask = slots_.size() - 1;
  size_t at = ChunkKeyHash()(key) & mask;
  while (slots_[at] != kNone && key_of(chunks_[slots_[at]]) != key) at = (at + 1) & mask;
  return at;
}

void PlacedChunks::add(ChunkId id) {
  if (++count_ * 2 > slots_.size()) {
    std::vector<ChunkId> old(slots_.size() * 2, kNone);
    std::swap(old, slots_);
    for (ChunkId known : old)
      if (known != kNone) slots_[slot_of(key_of(chunks_[known]))] = known;
  }
  slots_[slot_of(key_of(chunks_[id]))] = id;
}

}  // namespace mkfs
