// Memory the keeper owns and the worker writes: which kernel events were read and
// not answered. It outlives the worker, so that the successor answers them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/keeper/journal_memory.h"
#include "fscached/limits.h"

namespace fscached {

using namespace erofs_format;

constexpr uint32_t kUnknownObject = 0;

// One event: the number the kernel will match the answer with, and what it asks for.
struct JournalSlot {
  uint32_t used = 0;
  int32_t number = -1;
  uint32_t object = kUnknownObject;
  uint32_t reserved = 0;
  uint64_t offset = 0;
  uint64_t count = 0;
};
static_assert(sizeof(JournalSlot) == keeper::kJournalSlotBytes);

class Journal {
 public:
  // Maps the memory, every page present: a fault inside the kernel's copy could lose an event.
  static Result<Journal> map(int descriptor);
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();

  // Where the kernel puts event records. Cleared by clear_buffer(); what stands here
  // when a worker starts was read by a dead one and not yet copied into slots.
  std::span<uint8_t> buffer() const;
  // Ends the life of records in the first `used` bytes: the first length first, so that a death
  // in between leaves an empty buffer and not half a record.
  void clear_buffer(size_t used);

  std::span<const JournalSlot> slots() const;
  size_t free_slots() const { return free_.size(); }
  // Takes a free slot; there is one.
  uint32_t take(int32_t number, uint32_t object, uint64_t offset, uint64_t count);
  void release(uint32_t slot);

 private:
  explicit Journal(void* memory);
  JournalSlot* slot_memory() const;
  void* memory_ = nullptr;
  std::vector<uint32_t> free_;
};

}  // namespace fscached
