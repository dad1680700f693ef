// Page-aligned memory, zeroed: what a cache file's write takes.
#pragma once

#include <cstring>
#include <memory>
#include <new>

#include "fscached/kernel/cache_file.h"

namespace fscached {

class Pages {
 public:
  explicit Pages(size_t size)
      : memory_(static_cast<uint8_t*>(::operator new (size, std::align_val_t{kPageSize}))), size_(size) {
    std::memset(memory_.get(), 0, size);
  }
  MutableBytes bytes() { return {memory_.get(), size_}; }
  ByteView bytes() const { return {memory_.get(), size_}; }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(uint8_t* memory) const { ::operator delete (memory, std::align_val_t{kPageSize}); }
  };
  std::unique_ptr<uint8_t, Free> memory_;
  size_t size_;
};

}  // namespace fscached
