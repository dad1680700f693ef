#include "erofs-format/bootstrap/tree.h"

#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

uint64_t Blob::compressed_data_size() const {
  if (has(ondisk::kBlobSeparate) || !has(ondisk::kBlobCapTarToc)) return compressed_size;
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
