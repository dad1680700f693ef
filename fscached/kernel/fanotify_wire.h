// Bytes read from a fanotify group -> events. A pure function, fuzzed.
#pragma once

#include <cstdint>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

struct FanotifyEvent {
  bool overflow = false;   // the queue lost events; cannot happen with an unlimited one
  bool permission = true;  // wants an answer by `number`
  int32_t number = -1;     // descriptor of the file read, in the process that read the event
  int32_t pid = 0;
  uint64_t offset = 0;
  uint64_t count = UINT64_MAX;  // no range in the event: the whole file
};

// All events of one read, appended to `events` (which keeps its memory). A record of length 0 ends them:
// cleared memory. Stops at the first record that breaks the format: Code::corrupt with its byte; events
// before it are good.
Result<void> parse_fanotify_events(ByteView bytes, std::vector<FanotifyEvent>& events);

}  // namespace fscached
