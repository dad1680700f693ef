// Which unused files the cache need not have any more.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace fscached {

struct PruneWish {
  uint64_t keep_bytes = 0;      // at most so much stays, what was used last
  std::set<std::string> blobs;  // only of these; empty = of all
  bool wants(const std::string& blob) const { return blobs.empty() || blobs.count(blob) > 0; }
};

}  // namespace fscached
