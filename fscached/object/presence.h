// The journal that says which chunks of a blob the cache file holds: a header, then records, each with a
// checksum, in the order they were written. Bound to the chunks' digests: a chunk that was right for one
// image is not taken for right by another.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// One chunk that is there.
struct PresenceEntry {
  uint32_t chunk = 0;
  Digest digest;  // zero = not there any more
  friend bool operator==(const PresenceEntry&, const PresenceEntry&) = default;
};

struct Presence {
  // Written by a stop that had synced everything, and nothing was recorded since. Otherwise
  // every chunk is hashed again before it is served.
  bool clean = false;
  uint64_t file_size = 0;
  std::vector<PresenceEntry> chunks;  // that are there, each once, in any order
  // Records may be added to the file it was read from. A torn one, or one that repeats itself, is written
  // anew.
  bool extendable = false;
};

// The whole file in as few records as there can be.
Buffer encode_presence(const Presence& presence);
// Records to be added: `entries` are there, and what the file says is not clean from now on.
Buffer encode_entries(std::span<const PresenceEntry> entries);
// What the records say up to the first that is damaged or cut; clean only when there is none. Code::corrupt
// when the header is not right, or a record is that nobody writes. Chunks come by number.
Result<Presence> decode_presence(ByteView bytes, const std::string& name);

// None when there is no such file; one that is damaged is logged and as good as none.
std::optional<Presence> load_presence(const std::string& path);
// Both are on the disk when they succeed. A record cut by a failure is found by its checksum.
Result<void> write_presence(const std::string& path, const Presence& presence);
Result<void> extend_presence(const std::string& path, std::span<const PresenceEntry> entries);

}  // namespace fscached
