// Where a simulation's choices come from: one seed, or a fuzzer's bytes. The same ones make the same run.
#pragma once

#include <cstdint>

#include "erofs-format/base/bytes.h"

namespace fscached {

using namespace erofs_format;

class Choices {
 public:
  explicit Choices(uint64_t seed) : state_(seed) {}
  // Two bytes a choice; when they are used up, those of a fixed seed.
  explicit Choices(ByteView bytes) : bytes_(bytes) {}

  uint64_t below(uint64_t limit) { return limit > 1 ? next() % limit : 0; }
  uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
  bool one_in(uint64_t n) { return below(n) == 0; }
  // Goes by every choice so far: two runs that differ have different ones.
  uint64_t trace() const { return trace_; }

 private:
  uint64_t next() {
    uint64_t value = 0;
    if (bytes_.size() >= 2) {
      value = bytes_[0] | bytes_[1] << 8;
      bytes_ = bytes_.subspan(2);
    } else {
      value = state_ += 0x9e3779b97f4a7c15;
      value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
      value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
      value ^= value >> 31;
    }
    trace_ = (trace_ ^ value) * 0x100000001b3;
    return value;
  }
  ByteView bytes_;
  uint64_t state_ = 0;
  uint64_t trace_ = 0xcbf29ce484222325;
};

}  // namespace fscached
