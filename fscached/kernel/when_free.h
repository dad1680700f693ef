// What the kernel lets go a moment after the process that had it: a device, a file of the cache.
#pragma once

#include <errno.h>

#include <chrono>
#include <thread>

#include "fscached/limits.h"

namespace fscached {

// Calls `attempt`, which gives a Result, again for kReleaseWaitMs while it fails with EBUSY. Blocks
// meanwhile.
template <typename Attempt>
auto when_free(Attempt attempt) {
  constexpr int kStepMs = 20;
  for (int left = kReleaseWaitMs;; left -= kStepMs) {
    auto result = attempt();
    if (result || result.error().sys_errno != EBUSY || left <= 0) return result;
    std::this_thread::sleep_for(std::chrono::milliseconds(kStepMs));
  }
}

}  // namespace fscached
