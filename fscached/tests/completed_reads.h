// The ioctl that completes a read of cachefiles, which here comes on a plain file.
#pragma once

#include <cstdint>
#include <functional>

namespace fscached {

// Gets every completion as long as it lives; there is one at a time.
class CompletedReads {
 public:
  // On which descriptor, of which request. Returns an errno, 0 = done.
  using Told = std::function<int(int fd, uint32_t request)>;
  explicit CompletedReads(Told told);
  ~CompletedReads();
  CompletedReads(const CompletedReads&) = delete;
  CompletedReads& operator=(const CompletedReads&) = delete;
};

}  // namespace fscached
