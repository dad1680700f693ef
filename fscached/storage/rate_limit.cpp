#include "fscached/storage/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace fscached {

RateLimit::RateLimit(uint64_t bytes_per_second, uint64_t burst, uint64_t now_ns)
    : per_ns_(static_cast<double>(bytes_per_second) / 1e9),
      burst_(static_cast<double>(burst)),
      level_(static_cast<double>(burst)),
      filled_at_ns_(now_ns) {}

double RateLimit::level_at(uint64_t now_ns) const {
  uint64_t passed = now_ns > filled_at_ns_ ? now_ns - filled_at_ns_ : 0;
  return std::min(burst_, level_ + static_cast<double>(passed) * per_ns_);
}

uint64_t RateLimit::delay_ms(uint64_t now_ns) const {
  double level = level_at(now_ns);
  if (per_ns_ == 0 || level >= 0) return 0;
  return static_cast<uint64_t>(std::ceil(-level / per_ns_ / 1e6));
}

// Whoever comes while the level is not negative goes at once: one large fetch never waits for a
// bucket that could not hold it.
uint64_t RateLimit::take(uint64_t bytes, uint64_t now_ns) {
  if (per_ns_ == 0) return 0;
  uint64_t delay = delay_ms(now_ns);
  level_ = level_at(now_ns) - static_cast<double>(bytes);
  filled_at_ns_ = std::max(filled_at_ns_, now_ns);
  return delay;
}

}  // namespace fscached
