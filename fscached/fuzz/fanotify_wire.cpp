// Bytes read from a fanotify group.
#include <cstdint>
#include <cstdlib>

#include "fscached/kernel/fanotify_wire.h"

using namespace fscached;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<FanotifyEvent> events;
  auto result = parse_fanotify_events(ByteView(data, size), events);
  // No record is shorter than its head; what is answered has a number; ranges do not wrap.
  if (events.size() > size / 24) std::abort();
  for (const FanotifyEvent& event : events) {
    if (event.permission && event.number < 0) std::abort();
    if (event.count != UINT64_MAX && event.offset + event.count < event.offset) std::abort();
  }
  if (!result && result.error().message.empty()) std::abort();
  return 0;
}
