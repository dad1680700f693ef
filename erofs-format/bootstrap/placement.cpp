#include "erofs-format/bootstrap/placement.h"

#include "erofs-format/base/checked.h"
#include "erofs-format/ondisk/erofs.h"

namespace erofs_format {

using ondisk::kSlotSize;

void Placement::note(uint64_t offset) {
  uint64_t used = offset % block_size_;
  if (used != 0) free_[(block_size_ - used) / kSlotSize].push_back(offset - used);
}

uint64_t Placement::take(uint64_t bytes) {
  if (bytes >= block_size_) return kNone;
  uint64_t slots = div_up(bytes, kSlotSize);
  for (uint64_t i = slots; i < block_size_ / kSlotSize; i++) {
    if (free_[i].empty()) continue;
    uint64_t place = free_[i].front() + block_size_ - i * kSlotSize;
    free_[i].pop_front();
    note(place + slots * kSlotSize);
    return place;
  }
  return kNone;
}

uint64_t Placement::append(uint64_t bytes) {
  uint64_t place = next_;
  next_ = align_up(next_ + bytes, kSlotSize);
  return place;
}

void Placement::align(uint64_t to) { next_ = align_up(next_, to); }

Placement::Place Placement::place_file(uint64_t inode_bytes, uint64_t index_bytes) {
  uint64_t need = align_up(inode_bytes, 8) + index_bytes;
  uint64_t place = take(need);
  return {place != kNone ? place : append(need), 0, false};
}

Placement::Place Placement::place_special(uint64_t inode_bytes) { return {append(inode_bytes), 0, false}; }

Placement::Place Placement::place_with_data(uint64_t inode_bytes, uint64_t data_bytes, bool may_inline) {
  Place place;
  uint64_t tail = data_bytes % block_size_;
  place.inlined = may_inline && tail != 0 && inode_bytes + tail <= block_size_;
  uint64_t need = inode_bytes + (place.inlined ? tail : 0);
  place.inode = take(need);
  if (place.inode == kNone) {
    // An inlined tail may not cross a block.
    if (place.inlined && block_size_ - next_ % block_size_ < need) {
      note(next_);
      align(block_size_);
    }
    place.inode = next_;
    next_ += need;
  }
  uint64_t full = place.inlined ? data_bytes - tail : align_up(data_bytes, block_size_);
  if (full != 0) {
    note(next_);
    align(block_size_);
  }
  place.data = next_;
  next_ += full;
  align(kSlotSize);
  return place;
}

}  // namespace erofs_format
