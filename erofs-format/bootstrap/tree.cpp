#include "erofs-format/bootstrap/tree.h"

#include <algorithm>

#include "erofs-format/base/checked.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

static InodeId child_of(const Tree& tree, InodeId directory, std::string_view name) {
  if (directory == kNoInode || !tree.inodes[directory].entries) return kNoInode;
  const auto& entries = *tree.inodes[directory].entries;
  auto found =
      std::lower_bound(entries.begin(), entries.end(), name,
                       [](const DirEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != entries.end() && found->name == name ? found->inode : kNoInode;
}

InodeId find_path(const Tree& tree, std::string_view path, InodeId root) {
  InodeId inode = root;
  for (size_t start = 0; start < path.size();) {
    size_t slash = std::min(path.find('/', start), path.size());
    if (slash > start) inode = child_of(tree, inode, path.substr(start, slash - start));
    start = slash + 1;
  }
  return inode;
}

InodeId copy_inode(Tree& tree, InodeId id) {
  Inode& copy = tree.inodes.emplace_back();
  const Inode& from = tree.inodes[id];
  copy.mode = from.mode;
  copy.uid = from.uid;
  copy.gid = from.gid;
  copy.rdev = from.rdev;
  copy.mtime = from.mtime;
  copy.mtime_nsec = from.mtime_nsec;
  copy.size = from.size;
  if (from.target) copy.target = std::make_unique<std::string>(*from.target);
  if (from.xattrs) copy.xattrs = std::make_unique<Xattrs>(*from.xattrs);
  return narrow<InodeId>(tree.inodes.size() - 1);
}

std::string Blob::meta_id() const { return has(ondisk::kBlobSeparate) ? to_hex(meta_digest) : id; }

bool Blob::needs_chunk_information() const { return has(ondisk::kBlobBatch | ondisk::kBlobZran); }

uint64_t Blob::compressed_data_size() const {
  if (has(ondisk::kBlobSeparate) || has(ondisk::kBlobTarfs) || !has(ondisk::kBlobCapTarToc))
    return compressed_size;
  if (!has(ondisk::kBlobHasTarHeader)) return ci_offset;
  return ci_offset < 512 ? 0 : ci_offset - 512;
}

bool encode_device(uint32_t major, uint32_t minor, uint32_t* rdev) {
  if (major > 0xfff || minor > 0xfffff) return false;
  *rdev = (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
  return true;
}

uint32_t device_major(uint32_t rdev) { return (rdev >> 8) & 0xfff; }
uint32_t device_minor(uint32_t rdev) { return (rdev & 0xff) | ((rdev >> 12) & 0xfff00); }

void update_link_counts(Tree& tree) {
  for (auto& inode : tree.inodes) inode.nlink = inode.is_directory() ? 2 : 0;
  tree.inodes[kRootInode].parent = kRootInode;
  for (InodeId id = 0; id < tree.inodes.size(); id++) {
    if (!tree.inodes[id].entries) continue;
    for (const auto& entry : *tree.inodes[id].entries) {
      Inode& child = tree.inodes[entry.inode];
      if (child.is_directory()) {
        child.parent = id;
        tree.inodes[id].nlink++;
      } else {
        child.nlink++;
      }
    }
  }
}

}  // namespace erofs_format
