// One message read from /dev/cachefiles. A pure function, fuzzed.
#pragma once

#include <cstdint>
#include <string>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// More than any message has: header, open, two keys of at most 255 bytes.
inline constexpr size_t kMaxCachefilesMessage = 1024;

struct CachefilesMessage {
  enum class Kind { unknown, open, close, read };
  Kind kind = Kind::unknown;
  uint32_t id = 0;      // of the request: what the answer names
  uint32_t object = 0;  // of one opening of a file; another one after each
  // open:
  int fd = -1;
  std::string volume_key;  // without its NUL
  std::string cookie_key;
  // read:
  uint64_t offset = 0;
  uint64_t count = 0;
};

// Exactly one message; Code::corrupt with its byte. What was read before the fault is in `message`, so that a
// descriptor in it can be closed and its request refused.
Result<void> parse_cachefiles_message(ByteView bytes, CachefilesMessage& message);

}  // namespace fscached
