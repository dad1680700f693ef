// A token bucket: how much may be fetched now, and when more. Time comes from the caller.
#pragma once

#include <cstdint>

namespace fscached {

class RateLimit {
 public:
  // At most `bytes_per_second` in the long run, and `burst` bytes at once; 0 bytes per second: no limit.
  // The bucket is full at first.
  RateLimit(uint64_t bytes_per_second, uint64_t burst, uint64_t now_ns);

  // Takes `bytes` and says after how many milliseconds they may be fetched: 0 = now. More than the bucket
  // holds is granted as a debt, which those who come later wait for.
  uint64_t take(uint64_t bytes, uint64_t now_ns);
  // How long take() would have to wait now, taking nothing.
  uint64_t delay_ms(uint64_t now_ns) const;

 private:
  double level_at(uint64_t now_ns) const;

  double per_ns_;
  double burst_;
  double level_;  // below 0: a debt
  uint64_t filled_at_ns_;
};

}  // namespace fscached
