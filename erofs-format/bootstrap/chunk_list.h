// The chunks of a file. Most files have one, which lies in the list itself: sixteen bytes for such a file.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>

namespace erofs_format {

using ChunkId = uint32_t;  // index into Tree::chunks

class ChunkList {
 public:
  ChunkList() = default;
  ChunkList(std::initializer_list<ChunkId> ids) {
    for (ChunkId id : ids) push_back(id);
  }
  ChunkList(ChunkList&& other) noexcept
      : size_(std::exchange(other.size_, 0)), only_(other.only_), several_(std::move(other.several_)) {}
  ChunkList& operator=(ChunkList&& other) noexcept {
    size_ = std::exchange(other.size_, 0);
    only_ = other.only_;
    several_ = std::move(other.several_);
    return *this;
  }

  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  ChunkId* begin() { return several_ ? several_.get() : &only_; }
  ChunkId* end() { return begin() + size_; }
  const ChunkId* begin() const { return several_ ? several_.get() : &only_; }
  const ChunkId* end() const { return begin() + size_; }
  ChunkId operator[](size_t i) const { return begin()[i]; }
  ChunkId front() const { return *begin(); }

  void push_back(ChunkId id) {
    // There is room for a power of two of them, so a full list shows in its size.
    if (size_ != 0 && std::has_single_bit(size_)) {
      auto larger = std::make_unique_for_overwrite<ChunkId[]>(size_t{2} * size_);
      std::copy(begin(), end(), larger.get());
      several_ = std::move(larger);
    }
    begin()[size_++] = id;
  }
  bool operator==(const ChunkList& other) const {
    return std::equal(begin(), end(), other.begin(), other.end());
  }

 private:
  uint32_t size_ = 0;
  ChunkId only_ = 0;
  std::unique_ptr<ChunkId[]> several_;  // null while there is at most one
};

}  // namespace erofs_format
