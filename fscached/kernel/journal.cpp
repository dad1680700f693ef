#include "fscached/kernel/journal.h"

#include <sys/mman.h>

#include <atomic>
#include <cstring>

namespace fscached {

namespace {

using keeper::kJournalBytes;

// The other reader of this memory is a later process, never a concurrent one: only the
// compiler must keep the order of stores.
void order_stores() { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace

Result<Journal> Journal::map(int descriptor) {
  void* memory =
      mmap(nullptr, kJournalBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0);
  if (memory == MAP_FAILED) return errno_error("journal: mmap");
  // Without the privilege to lock, populated pages of a memfd still stay until memory is short.
  [[maybe_unused]] int locked = mlock(memory, kJournalBytes);
  return Journal(memory);
}

Journal::Journal(void* memory) : memory_(memory) {
  for (uint32_t i = kMaxPendingEvents; i-- > 0;)
    if (!slot_memory()[i].used) free_.push_back(i);
}

Journal::Journal(Journal&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), free_(std::move(other.free_)) {}

Journal::~Journal() {
  if (memory_) munmap(memory_, kJournalBytes);
}

std::span<uint8_t> Journal::buffer() const { return {static_cast<uint8_t*>(memory_), kEventBufferBytes}; }

void Journal::clear_buffer(size_t used) {
  uint8_t* bytes = buffer().data();
  std::memset(bytes, 0, sizeof(uint32_t));
  order_stores();
  std::memset(bytes, 0, std::min(used, kEventBufferBytes));
  order_stores();
}

JournalSlot* Journal::slot_memory() const {
  return reinterpret_cast<JournalSlot*>(static_cast<uint8_t*>(memory_) + kEventBufferBytes);
}

std::span<const JournalSlot> Journal::slots() const { return {slot_memory(), kMaxPendingEvents}; }

uint32_t Journal::take(int32_t number, uint32_t object, uint64_t offset, uint64_t count) {
  uint32_t index = free_.back();
  free_.pop_back();
  JournalSlot& slot = slot_memory()[index];
  slot.number = number;
  slot.object = object;
  slot.offset = offset;
  slot.count = count;
  order_stores();
  slot.used = 1;
  order_stores();
  return index;
}

void Journal::release(uint32_t slot) {
  slot_memory()[slot].used = 0;
  order_stores();
  free_.push_back(slot);
}

}  // namespace fscached
