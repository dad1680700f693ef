#include "mkfs/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "erofs-format/base/checked.h"
#include "erofs-format/ondisk/rafs.h"
#include "mkfs/layer_marks.h"

namespace mkfs {

namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";

Error inconsistent(std::string message) {
  Error error = make_error(Code::unsupported, "Inconsistent RAFS Filesystem: " + std::move(message));
  error.exit_code = 2;
  return error;
}

Result<void> check_alike(const MergeLayer& first, const MergeLayer& layer) {
  if (first.tree.chunk_size != layer.tree.chunk_size)
    return inconsistent(fmt::format("{}: chunk size {:#x}, {} has {:#x}", layer.name, layer.tree.chunk_size,
                                    first.name, first.tree.chunk_size));
  if (first.tree.block_size != layer.tree.block_size)
    return inconsistent(fmt::format("{}: block size {}, {} has {}", layer.name, layer.tree.block_size,
                                    first.name, first.tree.block_size));
  if (first.tree.explicit_uid_gid != layer.tree.explicit_uid_gid)
    return inconsistent(fmt::format("{}: owners are{} stored, in {} they are{}", layer.name,
                                    layer.tree.explicit_uid_gid ? "" : " not", first.name,
                                    first.tree.explicit_uid_gid ? "" : " not"));
  return {};
}

// Whether two entries can describe one blob.
bool same_blob(const Blob& a, const Blob& b) {
  auto key = [](const Blob& blob) {
    return std::tie(blob.chunk_size, blob.chunk_count, blob.uncompressed_size, blob.ci_offset,
                    blob.ci_compressed_size, blob.ci_uncompressed_size, blob.digester);
  };
  return key(a) == key(b);
}

class Merger {
 public:
  // Has room for all of `layers` at once: a list that grows is in memory twice.
  Merger(const MergeOptions& options, const std::vector<MergeLayer>& layers);

  Result<void> add(MergeLayer layer);
  Tree finish();

 private:
  struct Directories {
    InodeId lower;  // kNoInode: nothing below
    InodeId upper;
  };

  Result<std::vector<uint32_t>> add_blobs(const MergeLayer& layer);
  Result<InodeId> append(MergeLayer& layer);
  Result<void> resolve_links_below(InodeId root);
  Result<InodeId> find_below(const std::string& path, const std::string& target);
  void overlay(InodeId lower, InodeId upper);
  bool is_implied(const Inode& directory) const;
  void merge_attributes(Directories pair);
  void overlay_directory(Directories pair, std::vector<Directories>& below);
  void find_equal_chunks();
  std::vector<InodeId> reach();
  void copy_chunks(const std::vector<InodeId>& order);

  const MergeOptions& options_;
  bool first_ = true;
  InodeId root_ = kNoInode;
  Tree all_;  // everything of every layer, also what is hidden
  std::unordered_map<std::string, uint32_t> blob_by_id_;

  // finish()
  static constexpr uint32_t kUnused = std::numeric_limits<uint32_t>::max();
  Tree out_;
  std::vector<ChunkId> lowest_;
};

Merger::Merger(const MergeOptions& options, const std::vector<MergeLayer>& layers) : options_(options) {
  size_t inodes = 0, chunks = 0;
  for (const MergeLayer& layer : layers) {
    inodes += layer.tree.inodes.size();
    chunks += layer.tree.chunks.size();
  }
  all_.inodes.reserve(inodes);
  all_.chunks.reserve(chunks);
}

Result<void> Merger::add(MergeLayer layer) {
  all_.chunk_size = layer.tree.chunk_size;
  all_.block_size = layer.tree.block_size;
  all_.explicit_uid_gid = layer.tree.explicit_uid_gid;
  // As the reference does, the last one is what the superblock says; blobs have their own.
  all_.compressor = layer.tree.compressor;
  all_.digester = layer.tree.digester;
  TRY_ASSIGN(InodeId root, append(layer));
  if (auto linked = resolve_links_below(root); !linked) return std::move(linked).error().within(layer.name);
  if (!first_ || !options_.keep_lowest_whiteouts) overlay(root_, root);
  first_ = false;
  root_ = root;
  return {};
}

Result<std::vector<uint32_t>> Merger::add_blobs(const MergeLayer& layer) {
  std::vector<uint32_t> numbers;
  for (const Blob& blob : layer.tree.blobs) {
    auto [known, is_new] = blob_by_id_.try_emplace(blob.id, narrow<uint32_t>(all_.blobs.size()));
    numbers.push_back(known->second);
    if (is_new) {
      all_.blobs.push_back(blob);
      all_.blobs.back().features &= ~uint32_t{ondisk::kBlobInlinedFsMeta};
    } else if (!same_blob(all_.blobs[known->second], blob)) {
      return make_error(Code::corrupt, fmt::format("{}: blob {} is not described as by the layers below",
                                                   layer.name, blob.id));
    }
  }
  return numbers;
}

// What the layer's own builder marked, instead of a guess.
void take_implied_mark(Inode& directory) {
  if (!directory.xattrs || directory.xattrs->erase(kImplied) == 0) return;
  directory.implied = true;
  if (directory.xattrs->empty()) directory.xattrs = nullptr;
}

// Moves all of a layer into `all_`, renumbered; returns its root.
Result<InodeId> Merger::append(MergeLayer& layer) {
  TRY_ASSIGN(std::vector<uint32_t> blobs, add_blobs(layer));
  auto inode_base = static_cast<InodeId>(all_.inodes.size());
  auto chunk_base = static_cast<ChunkId>(all_.chunks.size());
  if (layer.tree.inodes.size() >= kUnused - inode_base || layer.tree.chunks.size() >= kUnused - chunk_base)
    return make_error(Code::too_large, layer.name + ": more than 2^32 inodes or chunks in all layers");
  for (Chunk& chunk : layer.tree.chunks) {
    chunk.blob_index = blobs[chunk.blob_index];
    all_.chunks.push_back(chunk);
  }
  layer.tree.chunks = std::vector<Chunk>();  // {} would keep the memory
  for (Inode& inode : layer.tree.inodes) {
    for (ChunkId& chunk : inode.chunks) chunk += chunk_base;
    if (inode.is_directory()) take_implied_mark(inode);
    if (inode.is_directory() && !inode.entries) inode.entries = std::make_unique<std::vector<DirEntry>>();
    if (inode.entries)
      for (DirEntry& entry : *inode.entries) entry.inode += inode_base;
    all_.inodes.push_back(std::move(inode));
  }
  layer.tree = {};
  return inode_base;
}

// What a hard link into the layers below becomes a further name of.
Result<InodeId> Merger::find_below(const std::string& path, const std::string& target) {
  InodeId id = first_ ? kNoInode : find_path(all_, target, root_);
  if (id == kNoInode)
    return make_error(
        Code::corrupt,
        fmt::format("{}: hard link to {}, which neither comes before it nor is in a layer below",
                    printable(path), printable(target)));
  if (all_.inodes[id].is_directory())
    return make_error(Code::corrupt,
                      fmt::format("{}: hard link to the directory {}", printable(path), printable(target)));
  return all_.inodes[id].is_regular() ? id : copy_inode(all_, id);
}

// Of what the layers below have before this one changes anything: what it removes or replaces keeps
// its content under a name that links to it.
Result<void> Merger::resolve_links_below(InodeId root) {
  std::vector<std::pair<InodeId, std::string>> directories = {{root, ""}};
  while (!directories.empty()) {
    auto [directory, path] = std::move(directories.back());
    directories.pop_back();
    for (size_t i = 0; i < all_.inodes[directory].entries->size(); i++) {
      DirEntry& entry = (*all_.inodes[directory].entries)[i];
      const Inode& inode = all_.inodes[entry.inode];
      if (inode.is_directory()) directories.emplace_back(entry.inode, path + "/" + entry.name);
      if (!inode.is_regular() || !inode.xattrs || entry.name.starts_with(kWhiteoutPrefix)) continue;
      auto link = inode.xattrs->find(kLinkBelow);
      if (link == inode.xattrs->end()) continue;
      TRY_ASSIGN(entry.inode, find_below(path + "/" + entry.name, link->second));
    }
  }
  return {};
}

// Makes `upper` the union of both; its attributes win where it has any of its own.
void Merger::overlay(InodeId lower, InodeId upper) {
  std::vector<Directories> todo = {{lower, upper}};
  while (!todo.empty()) {
    Directories pair = todo.back();
    todo.pop_back();
    overlay_directory(pair, todo);
  }
}

bool Merger::is_implied(const Inode& directory) const {
  if (directory.implied || !options_.guess_implied) return directory.implied;
  return directory.mode == (S_IFDIR | 0755) && directory.uid == 0 && directory.gid == 0 &&
         directory.mtime == 0 && directory.mtime_nsec == 0 && !directory.xattrs;
}

void Merger::merge_attributes(Directories pair) {
  if (pair.lower == kNoInode || !is_implied(all_.inodes[pair.upper])) return;
  // Everything changes places, then the entries change back.
  std::swap(all_.inodes[pair.upper], all_.inodes[pair.lower]);
  std::swap(all_.inodes[pair.upper].entries, all_.inodes[pair.lower].entries);
}

void Merger::overlay_directory(Directories pair, std::vector<Directories>& below) {
  merge_attributes(pair);
  std::vector<DirEntry>& entries = *all_.inodes[pair.upper].entries;
  std::vector<std::string> hidden;
  bool opaque = false;
  std::erase_if(entries, [&](const DirEntry& entry) {
    if (!entry.name.starts_with(kWhiteoutPrefix)) return false;
    if (entry.name == kOpaqueName) opaque = true;
    hidden.push_back(entry.name.substr(kWhiteoutPrefix.size()));
    return true;
  });
  std::vector<DirEntry> merged;
  auto take_upper = [&](DirEntry& entry, InodeId lower) {
    if (all_.inodes[entry.inode].is_directory()) below.push_back({lower, entry.inode});
    merged.push_back(std::move(entry));
  };
  auto upper = entries.begin();
  if (pair.lower != kNoInode && !opaque) {
    for (DirEntry& entry : *all_.inodes[pair.lower].entries) {
      // Sorted entries give sorted names, also when all lose the same beginning.
      if (std::binary_search(hidden.begin(), hidden.end(), entry.name)) continue;
      while (upper != entries.end() && upper->name < entry.name) take_upper(*upper++, kNoInode);
      if (upper != entries.end() && upper->name == entry.name) {
        bool both = all_.inodes[entry.inode].is_directory();
        take_upper(*upper++, both ? entry.inode : kNoInode);
      } else {
        merged.push_back(std::move(entry));
      }
    }
  }
  while (upper != entries.end()) take_upper(*upper++, kNoInode);
  entries = std::move(merged);
}

// lowest_[c]: the first chunk, in order of layers, with the same content as c. Sorted, not
// hashed: digests of foreign bootstraps could be chosen to collide in a table.
void Merger::find_equal_chunks() {
  auto compare = [&](ChunkId a, ChunkId b) {
    const Chunk &x = all_.chunks[a], &y = all_.chunks[b];
    if (auto digests = x.digest <=> y.digest; digests != 0) return digests;
    if (auto sizes = x.uncompressed_size <=> y.uncompressed_size; sizes != 0) return sizes;
    return all_.blobs[x.blob_index].digester <=> all_.blobs[y.blob_index].digester;
  };
  std::vector<ChunkId> order(all_.chunks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](ChunkId a, ChunkId b) { return compare(a, b) < 0; });
  lowest_.resize(order.size());
  for (size_t i = 0; i < order.size(); i++) {
    bool equal = i > 0 && compare(order[i - 1], order[i]) == 0;
    lowest_[order[i]] = equal ? lowest_[order[i - 1]] : order[i];
  }
}

// What the root reaches, in the order of the new tree: a directory's children first, then each sub-directory.
// Entries name the new inodes afterwards.
std::vector<InodeId> Merger::reach() {
  std::vector<InodeId> order;
  std::vector<InodeId> new_inode(all_.inodes.size(), kUnused);
  auto use = [&](InodeId id) {
    if (new_inode[id] != kUnused) return;
    new_inode[id] = narrow<InodeId>(order.size());
    order.push_back(id);
  };
  std::vector<InodeId> directories = {root_};
  use(root_);
  while (!directories.empty()) {
    InodeId directory = directories.back();
    directories.pop_back();
    size_t first = directories.size();
    for (DirEntry& entry : *all_.inodes[directory].entries) {
      use(entry.inode);
      if (all_.inodes[entry.inode].is_directory()) directories.push_back(entry.inode);
      entry.inode = new_inode[entry.inode];
    }
    std::reverse(directories.begin() + static_cast<std::ptrdiff_t>(first), directories.end());
  }
  return order;
}

// Numbers the chunks of these inodes anew, by their first use, and copies them.
void Merger::copy_chunks(const std::vector<InodeId>& order) {
  std::vector<ChunkId> new_chunk(all_.chunks.size(), kUnused);
  std::vector<ChunkId> used;
  for (InodeId id : order) {
    for (ChunkId& chunk : all_.inodes[id].chunks) {
      ChunkId old = lowest_[chunk];
      if (new_chunk[old] == kUnused) {
        new_chunk[old] = narrow<ChunkId>(used.size());
        used.push_back(old);
      }
      chunk = new_chunk[old];
    }
  }
  std::vector<uint32_t> new_blob(all_.blobs.size(), kUnused);
  out_.chunks.reserve(used.size());
  for (ChunkId old : used) {
    Chunk& chunk = out_.chunks.emplace_back(all_.chunks[old]);
    uint32_t& blob = new_blob[chunk.blob_index];
    if (blob == kUnused) {
      blob = narrow<uint32_t>(out_.blobs.size());
      out_.blobs.push_back(std::move(all_.blobs[chunk.blob_index]));
    }
    chunk.blob_index = blob;
  }
}

// Chunks are copied and freed before inodes are: not everything is in memory twice at once.
Tree Merger::finish() {
  out_.chunk_size = all_.chunk_size;
  out_.block_size = all_.block_size;
  out_.explicit_uid_gid = all_.explicit_uid_gid;
  out_.compressor = all_.compressor;
  out_.digester = all_.digester;
  find_equal_chunks();
  std::vector<InodeId> order = reach();
  copy_chunks(order);
  all_.chunks = std::vector<Chunk>();
  lowest_ = std::vector<ChunkId>();
  out_.inodes.reserve(order.size());
  for (InodeId id : order) out_.inodes.push_back(std::move(all_.inodes[id]));
  all_.inodes = std::vector<Inode>();
  update_link_counts(out_);
  return std::move(out_);
}

}  // namespace

Result<Tree> merge_layers(std::vector<MergeLayer> layers, const MergeOptions& options) {
  if (layers.empty()) return make_error(Code::invalid_argument, "nothing to merge: no layer given");
  for (const MergeLayer& layer : layers) TRY(check_alike(layers[0], layer));
  Merger merger(options, layers);
  for (MergeLayer& layer : layers) TRY(merger.add(std::move(layer)));
  return merger.finish();
}

}  // namespace mkfs
