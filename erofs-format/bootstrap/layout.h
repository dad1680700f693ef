// Pass one of writing a bootstrap: where everything goes. A pure function of
// the tree (placement rules: nydus-rafs-v6.md 1.1 and 1.8).
#pragma once

#include <cstdint>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

struct InodePlace {
  uint64_t offset = 0;       // byte in the bootstrap, multiple of 32
  uint64_t data_offset = 0;  // byte of the full blocks of a directory or symlink
  uint64_t data_size = 0;    // dirent bytes of a directory, target length of a symlink
  uint32_t ino = 0;          // number in visiting order
  uint16_t layout = 0;       // ondisk::kLayout…
};

struct Layout {
  std::vector<InodePlace> inodes;       // by InodeId
  std::vector<InodeId> visiting_order;  // each inode once
  std::vector<ChunkId> chunk_table;     // chunks in table order (digest, blob index)
  uint64_t name_count = 0;              // nodes incl. root, each name of a hard link counted
  uint64_t blob_table_offset = 0;       // bytes, like all below
  uint64_t prefetch_table_offset = 0;
  uint64_t meta_offset = 0;  // meta_blkaddr * block size
  uint64_t chunk_table_offset = 0;
  uint64_t size = 0;                     // of the whole bootstrap
  std::vector<uint32_t> mapped_blkaddr;  // by blob index
};

// Code::too_large / invalid_argument name the path that breaks a limit of the format.
Result<Layout> compute_layout(const Tree& tree);

}  // namespace erofs_format
