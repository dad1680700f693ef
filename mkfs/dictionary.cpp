#include "mkfs/dictionary.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/checked.h"
#include "erofs-format/ondisk/rafs.h"

namespace mkfs {

void add_chunks(Tree& known, const Tree& tree) {
  std::vector<uint32_t> number(tree.blobs.size());
  for (size_t i = 0; i < tree.blobs.size(); i++) {
    auto there = std::find_if(known.blobs.begin(), known.blobs.end(),
                              [&](const Blob& blob) { return blob.id == tree.blobs[i].id; });
    number[i] = narrow<uint32_t>(there - known.blobs.begin());
    if (there != known.blobs.end()) continue;
    known.blobs.push_back(tree.blobs[i]);
    // Readers would look for the id of a blob with a bootstrap in the name of the file they read.
    known.blobs.back().features &= ~uint32_t{ondisk::kBlobInlinedFsMeta};
  }
  for (Chunk chunk : tree.chunks) {
    chunk.blob_index = number[chunk.blob_index];
    known.chunks.push_back(chunk);
  }
}

Dictionary::Dictionary(Tree tree) : tree_(std::move(tree)) {
  tree_.inodes.clear();
  for (ChunkId id = 0; id < tree_.chunks.size(); id++) {
    const Chunk& chunk = tree_.chunks[id];
    auto [known, added] = chunks_.try_emplace(key_of(chunk), id);
    if (!added && chunk.blob_index < tree_.chunks[known->second].blob_index) known->second = id;
  }
}

Digest Dictionary::identity() const {
  Sha256 hash;
  for (const Blob& blob : tree_.blobs) hash.update(as_bytes(blob.id));
  for (const Chunk& chunk : tree_.chunks) {
    std::string words = fmt::format("{} {} {} ", chunk.blob_index, chunk.index, chunk.uncompressed_size);
    hash.update(as_bytes(words));
    hash.update(chunk.digest.bytes);
  }
  return hash.digest();
}

const Chunk* Dictionary::find(const ChunkKey& key) const {
  auto known = chunks_.find(key);
  return known == chunks_.end() ? nullptr : &tree_.chunks[known->second];
}

}  // namespace mkfs
