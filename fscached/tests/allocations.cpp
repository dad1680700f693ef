#include "fscached/tests/allocations.h"

#include <cstdlib>
#include <new>
#include <utility>

namespace fscached {

namespace {

thread_local uint64_t count = 0;
thread_local uint64_t left = 0;  // until one fails; 0 = none does
thread_local bool are_own = false;
thread_local bool failed = false;
thread_local std::function<void()> listener;

// Whether this one fails.
bool comes_by() {
  if (are_own) return false;
  count++;
  if (left == 0 || --left > 0) return false;
  failed = true;
  OwnAllocations ours;
  if (listener) listener();
  return true;
}

void* allocate(size_t size, size_t alignment) {
  if (alignment == 0) return std::malloc(size > 0 ? size : 1);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(size_t size, size_t alignment = 0) {
  void* memory = comes_by() ? nullptr : allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

uint64_t allocations() { return count; }

FailingAllocation::FailingAllocation(uint64_t nth, std::function<void()> told) {
  OwnAllocations ours;
  listener = std::move(told);
  failed = false;
  left = nth;
}
FailingAllocation::~FailingAllocation() {
  left = 0;
  listener = nullptr;
}
bool FailingAllocation::happened() const { return failed; }

OwnAllocations::OwnAllocations(bool own) : outer_(std::exchange(are_own, own)) {}
OwnAllocations::~OwnAllocations() { are_own = outer_; }

}  // namespace fscached

void* operator new(size_t size) { return fscached::allocate_or_throw(size); }
void* operator new[](size_t size) { return fscached::allocate_or_throw(size); }
void* operator new(size_t size, std::align_val_t alignment) {
  return fscached::allocate_or_throw(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return fscached::allocate_or_throw(size, static_cast<size_t>(alignment));
}
// These do not fail: the worker's would end it (its new_handler), and nothing here could be ended by them.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return fscached::allocate(size, 0); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return fscached::allocate(size, 0); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
