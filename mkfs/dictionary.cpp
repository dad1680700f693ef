#include "mkfs/dictionary.h"

namespace mkfs {

Dictionary::Dictionary(Tree tree) : tree_(std::move(tree)) {
  tree_.inodes.clear();
  for (ChunkId id = 0; id < tree_.chunks.size(); id++) {
    const Chunk& chunk = tree_.chunks[id];
    auto [known, added] = chunks_.try_emplace({chunk.digest, chunk.uncompressed_size}, id);
    if (!added && chunk.blob_index < tree_.chunks[known->second].blob_index) known->second = id;
  }
}

const Chunk* Dictionary::find(const ChunkKey& key) const {
  auto known = chunks_.find(key);
  return known == chunks_.end() ? nullptr : &tree_.chunks[known->second];
}

}  // namespace mkfs
