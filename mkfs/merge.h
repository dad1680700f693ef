// Layers into one image: the OCI rules of whiteouts, each blob once, equal chunks
// once (nydus-rafs-v6.md 1.14).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

struct MergeLayer {
  std::string name;  // for messages
  Tree tree;
};

struct MergeOptions {
  // In the lowest layer nothing lies below that a whiteout could hide: `nydus-image merge` keeps such entries
  // as plain files; a file system made from an OCI image must not show them.
  bool keep_lowest_whiteouts = true;
  // A layer's tar may hold a/b without a: its attributes then come from the layer below. Bootstraps
  // from files do not say so; directories as builders make them up (0755, root, time 0) are taken
  // for such.
  bool guess_implied = true;
};

// Lowest layer first. The blobs of all layers bear their final ids; the same id in several
// layers is one blob. What no remaining file uses is dropped; blobs are numbered by first use.
// Chunks equal in digest and size all become the one of the lowest layer that has it.
// File systems that cannot be one (chunk size, block size, owners) give an error with exit_code 2.
Result<Tree> merge_layers(std::vector<MergeLayer> layers, const MergeOptions& options);

// What the caller knows about the blob a layer brought along, against what its bootstrap says.
struct OwnBlob {
  std::optional<Digest> blob_digest = {};
  std::optional<std::string> original_id = {};
  std::optional<uint64_t> size = {};
  std::optional<Digest> toc_digest = {};
  std::optional<uint64_t> toc_size = {};
};

// Gives the layer's own blob (the one not in `dictionary`) its final id, sizes and features;
// more than one is an error. `path` is that of the bootstrap, whose name may say the id.
Result<void> fix_own_blob(Tree& tree, const std::string& path, const OwnBlob& own,
                          const std::set<std::string>& dictionary);

}  // namespace mkfs
