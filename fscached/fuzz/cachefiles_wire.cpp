// A message read from /dev/cachefiles.
#include "fscached/kernel/cachefiles_wire.h"

#include <cstdint>
#include <cstdlib>

using namespace fscached;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  CachefilesMessage message;
  auto result = parse_cachefiles_message(ByteView(data, size), message);
  if (!result) return result.error().message.empty() ? (std::abort(), 0) : 0;
  using Kind = CachefilesMessage::Kind;
  if (message.kind == Kind::unknown) std::abort();
  if (message.kind == Kind::read && message.offset + message.count <= message.offset) std::abort();
  if (message.kind == Kind::open) {
    if (message.fd < 0 || message.volume_key.find('\0') != std::string::npos) std::abort();
    // Everything that came is accounted for.
    if (32 + message.volume_key.size() + 1 + message.cookie_key.size() != size) std::abort();
  }
  return 0;
}
