// Reads and verifies everything that is there of one blob, one chunk after the other.
#pragma once

#include "fscached/object/blob_object.h"

namespace fscached {

struct ScrubReport {
  uint64_t chunks = 0;    // looked at
  uint64_t bytes = 0;     // of them
  uint64_t repaired = 0;  // were wrong and have been fetched again
  uint64_t lost = 0;      // were wrong and could not be: absent now
  std::string problem;    // of the first of those
};

// On the loop thread. `report` is filled as it goes; `done` runs once.
void scrub(const std::shared_ptr<BlobObject>& object, const std::shared_ptr<ScrubReport>& report,
           std::function<void()> done);

}  // namespace fscached
