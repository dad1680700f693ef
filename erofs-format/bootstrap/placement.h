// Where inodes go in the metadata area, tail gaps being used again
// (nydus-rafs-v6.md 1.8). Offsets count from the area's start.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

namespace erofs_format {

class Placement {
 public:
  explicit Placement(uint32_t block_size) : block_size_(block_size) {}

  struct Place {
    uint64_t inode = 0;
    uint64_t data = 0;     // full blocks of a directory or symlink
    bool inlined = false;  // its last part lies right after the inode
  };

  // A regular file with `index_bytes` of chunk index after its inode of `inode_bytes`.
  Place place_file(uint64_t inode_bytes, uint64_t index_bytes);
  Place place_special(uint64_t inode_bytes);
  // A directory or symlink with `data_bytes` of flat data; its tail goes behind the inode if it may and fits.
  Place place_with_data(uint64_t inode_bytes, uint64_t data_bytes, bool may_inline = true);
  // End of everything placed so far.
  uint64_t end() const { return next_; }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;
  uint64_t take(uint64_t bytes);
  void note(uint64_t offset);
  uint64_t append(uint64_t bytes);
  void align(uint64_t to);

  uint64_t block_size_;
  uint64_t next_ = 4096;  // so that the root is nid 128, whatever the size of blocks
  // By number of free slots at the end of a block: the starts of such blocks.
  std::array<std::deque<uint64_t>, 128> free_;
};

}  // namespace erofs_format
