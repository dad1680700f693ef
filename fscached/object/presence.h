// The file that says which chunks of a blob the cache file holds. Bound to the chunks'
// digests: a chunk that was right for one image is not taken for right by another.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

struct Presence {
  // Written by a stop that had synced everything, and nothing happened since. Otherwise
  // every chunk is hashed again before it is served.
  bool clean = false;
  uint64_t file_size = 0;
  std::vector<Digest> digests;  // by chunk index; zero = absent
};

Buffer encode_presence(const Presence& presence);
// Anything but a whole, right file is Code::corrupt.
Result<Presence> decode_presence(ByteView bytes, const std::string& name);
// None when there is no such file; one that is damaged is logged and as good as none.
std::optional<Presence> load_presence(const std::string& path);

}  // namespace fscached
