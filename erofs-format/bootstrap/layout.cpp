#include "erofs-format/bootstrap/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/bootstrap/encoding.h"
#include "erofs-format/bootstrap/placement.h"
#include "erofs-format/ondisk/erofs.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

namespace {

using namespace ondisk;

class LayoutBuilder {
 public:
  explicit LayoutBuilder(const Tree& tree) : tree_(tree), placement_(tree.block_size) {}
  Result<Layout> build();

 private:
  Result<void> place_tree();
  Result<void> number_children(InodeId directory, std::vector<InodeId>& directories);
  Result<void> place(InodeId id);
  Result<void> check_inode(InodeId id) const;
  Result<void> check_blobs() const;
  std::string path_of(InodeId id) const;
  void place_tables();
  Result<void> map_blobs();

  const Tree& tree_;
  Placement placement_;
  Layout layout_;
  uint32_t next_ino_ = 1;
};

// For messages only, so a search is good enough.
std::string LayoutBuilder::path_of(InodeId wanted) const {
  std::string path;
  while (wanted != kRootInode) {
    bool found = false;
    for (InodeId id = 0; id < tree_.inodes.size() && !found; id++) {
      if (!tree_.inodes[id].entries) continue;
      for (const auto& entry : *tree_.inodes[id].entries) {
        if (entry.inode != wanted) continue;
        path.insert(0, "/" + printable(entry.name));
        wanted = id;
        found = true;
        break;
      }
    }
    if (!found) break;
  }
  return path.empty() ? "/" : path;
}

Result<void> LayoutBuilder::check_inode(InodeId id) const {
  const Inode& inode = tree_.inodes[id];
  auto refuse = [&](const std::string& why) { return make_error(Code::too_large, path_of(id) + ": " + why); };
  uint64_t target_size = inode.target ? inode.target->size() : 0;
  if (inode.is_symlink() && (target_size == 0 || target_size > kMaxSymlinkLength))
    return refuse(fmt::format("symlink of {} bytes, 1 to {} are possible", target_size, kMaxSymlinkLength));
  if (inode.is_regular() && inode.chunks.size() != div_up(inode.size, tree_.chunk_size))
    return make_error(Code::internal, path_of(id) + ": chunks do not match its size");
  if (!inode.xattrs) return {};
  for (const auto& [name, value] : *inode.xattrs) {
    XattrName split = split_xattr_name(name);
    if (split.index == 0) return refuse("xattr " + printable(name) + " has a prefix that EROFS cannot store");
    if (split.suffix.size() > kMaxNameLength)
      return refuse("xattr " + printable(name) + ": name is too long");
    if (value.size() > kMaxXattrValue)
      return refuse(fmt::format("xattr {}: value of {} bytes, {} are possible", printable(name), value.size(),
                                kMaxXattrValue));
  }
  // i_xattr_icount has 16 bits.
  if (xattr_body_size(inode) > 12 + 4 * uint64_t{65534}) return refuse("its xattrs are too large together");
  return {};
}

Result<void> LayoutBuilder::place(InodeId id) {
  TRY(check_inode(id));
  const Inode& inode = tree_.inodes[id];
  InodePlace& out = layout_.inodes[id];
  uint64_t inode_bytes = kInodeSize + xattr_body_size(inode);
  Placement::Place place;
  if (inode.is_directory() || inode.is_symlink()) {
    out.data_size = inode.is_directory() ? directory_size(tree_, id) : inode.target->size();
    // nydusd reads a target in one piece.
    bool may_inline = inode.is_directory() || out.data_size <= tree_.block_size;
    place = placement_.place_with_data(inode_bytes, out.data_size, may_inline);
    out.layout = place.inlined ? kLayoutFlatInline : kLayoutFlatPlain;
  } else if (inode.is_regular()) {
    place = placement_.place_file(inode_bytes, inode.chunks.size() * sizeof(rafs_v6_chunk_addr));
    out.layout = kLayoutChunkBased;
  } else {
    place = placement_.place_special(inode_bytes);
    out.layout = kLayoutFlatPlain;
  }
  out.offset = place.inode;
  out.data_offset = place.data;
  layout_.visiting_order.push_back(id);
  return {};
}

// Numbers all children, places those that are no directories, and lists those that are.
Result<void> LayoutBuilder::number_children(InodeId directory, std::vector<InodeId>& directories) {
  for (const auto& entry : *tree_.inodes[directory].entries) {
    if (entry.name.empty() || entry.name.size() > kMaxNameLength)
      return make_error(Code::too_large,
                        fmt::format("{}/{}: name of {} bytes, 1 to {} are possible", path_of(directory),
                                    printable(entry.name), entry.name.size(), kMaxNameLength));
    InodePlace& child = layout_.inodes[entry.inode];
    uint32_t ino = next_ino_++;
    layout_.name_count++;
    if (child.ino != 0) continue;  // another name of a placed file
    child.ino = ino;
    if (tree_.inodes[entry.inode].is_directory()) {
      directories.push_back(entry.inode);
    } else {
      TRY(place(entry.inode));
    }
  }
  return {};
}

Result<void> LayoutBuilder::place_tree() {
  layout_.inodes.resize(tree_.inodes.size());
  layout_.visiting_order.reserve(tree_.inodes.size());
  layout_.inodes[kRootInode].ino = next_ino_++;
  layout_.name_count = 1;
  std::vector<InodeId> pending = {kRootInode};
  std::vector<InodeId> directories;
  while (!pending.empty()) {
    InodeId id = pending.back();
    pending.pop_back();
    TRY(place(id));
    directories.clear();
    TRY(number_children(id, directories));
    pending.insert(pending.end(), directories.rbegin(), directories.rend());
  }
  return {};
}

Result<void> LayoutBuilder::check_blobs() const {
  if (tree_.blobs.size() > kRafsMaxBlobs)
    return make_error(Code::too_large,
                      fmt::format("{} blobs, {} are possible", tree_.blobs.size(), kRafsMaxBlobs));
  for (const auto& blob : tree_.blobs)
    if (blob.chunk_count == 0 || blob.uncompressed_size < tree_.block_size)
      return make_error(Code::internal, "blob " + blob.id + ": has no data, so it may not be listed");
  return {};
}

void LayoutBuilder::place_tables() {
  uint64_t blobs = tree_.blobs.size();
  uint64_t prefetch_size = blobs == 0 ? 0 : tree_.prefetch.size() * sizeof(le32);
  layout_.blob_table_offset = align_up(kRafsDeviceTableOffset + blobs * sizeof(erofs_deviceslot), 4096);
  uint64_t after_blobs = layout_.blob_table_offset + blobs * sizeof(rafs_v6_blob);
  if (prefetch_size != 0) layout_.prefetch_table_offset = after_blobs;
  layout_.meta_offset = blobs == 0 ? 0 : align_up(after_blobs + prefetch_size, 4096);
  for (auto& place : layout_.inodes) {
    place.offset += layout_.meta_offset;
    place.data_offset += layout_.meta_offset;
  }
  uint64_t end = align_up(layout_.meta_offset + placement_.end(), 4096);

  layout_.chunk_table.resize(tree_.chunks.size());
  for (ChunkId id = 0; id < tree_.chunks.size(); id++) layout_.chunk_table[id] = id;
  std::sort(layout_.chunk_table.begin(), layout_.chunk_table.end(), [&](ChunkId a, ChunkId b) {
    const Chunk& x = tree_.chunks[a];
    const Chunk& y = tree_.chunks[b];
    return std::tie(x.digest, x.blob_index, x.index) < std::tie(y.digest, y.blob_index, y.index);
  });
  layout_.chunk_table_offset = end;
  layout_.size = align_up(end + tree_.chunks.size() * sizeof(rafs_chunk_info), 4096);
}

// Blobs follow the bootstrap in the flat view, each at a multiple of 512 KiB.
Result<void> LayoutBuilder::map_blobs() {
  uint64_t position = layout_.size;
  for (const auto& blob : tree_.blobs) {
    uint64_t start = align_up(position, kRafsMappedAlignment) / tree_.block_size;
    uint64_t end = start + blob.uncompressed_size / tree_.block_size;
    if (end > UINT32_MAX) return make_error(Code::too_large, "image: its blobs need more than 2^32 blocks");
    layout_.mapped_blkaddr.push_back(static_cast<uint32_t>(start));
    position = end * tree_.block_size;
  }
  return {};
}

Result<Layout> LayoutBuilder::build() {
  TRY(check_blobs());
  TRY(place_tree());
  place_tables();
  TRY(map_blobs());
  // i_ino, dirent nids and prefetch entries have 32 bits.
  if (layout_.name_count > UINT32_MAX || layout_.size / kSlotSize > UINT32_MAX)
    return make_error(Code::too_large, "image: metadata has more than 2^32 slots");
  return std::move(layout_);
}

}  // namespace

Result<Layout> compute_layout(const Tree& tree) { return LayoutBuilder(tree).build(); }

}  // namespace erofs_format
