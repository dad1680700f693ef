// What the kernel is read from: a message of /dev/cachefiles, and a buffer of a fanotify group.
#include <cstdint>
#include <cstdlib>

#include "fscached/kernel/cachefiles_wire.h"
#include "fscached/kernel/fanotify_wire.h"

using namespace fscached;

namespace {

void try_cachefiles(ByteView bytes) {
  CachefilesMessage message;
  auto result = parse_cachefiles_message(bytes, message);
  if (!result) {
    if (result.error().message.empty()) std::abort();
    return;
  }
  using Kind = CachefilesMessage::Kind;
  if (message.kind == Kind::unknown) std::abort();
  if (message.kind == Kind::read && message.offset + message.count <= message.offset) std::abort();
  if (message.kind == Kind::open) {
    if (message.fd < 0 || message.volume_key.find('\0') != std::string::npos) std::abort();
    // Everything that came is accounted for.
    if (32 + message.volume_key.size() + 1 + message.cookie_key.size() != bytes.size()) std::abort();
  }
}

void try_fanotify(ByteView bytes) {
  std::vector<FanotifyEvent> events;
  auto result = parse_fanotify_events(bytes, events);
  // No record is shorter than its head; what is answered has a number; ranges do not wrap.
  if (events.size() > bytes.size() / 24) std::abort();
  for (const FanotifyEvent& event : events) {
    if (event.permission && event.number < 0) std::abort();
    if (event.count != UINT64_MAX && event.offset + event.count < event.offset) std::abort();
  }
  if (!result && result.error().message.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try_cachefiles({data, size});
  try_fanotify({data, size});
  return 0;
}
