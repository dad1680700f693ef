// A presence file; the checksum is made right, so that what lies behind it is reached.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "fscached/object/presence.h"

using namespace fscached;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kChecksum = 24, kHeader = 56;
  Buffer file(data, data + size);
  if (size >= kHeader) {
    Sha256 hash;
    hash.update(ByteView(file).first(kChecksum));
    hash.update(ByteView(file).subspan(kHeader));
    std::memcpy(file.data() + kChecksum, hash.digest().bytes.data(), sizeof(Digest));
  }
  auto presence = decode_presence(file, "presence");
  if (!presence) return 0;
  auto again = decode_presence(encode_presence(*presence), "again");
  if (!again || again->digests != presence->digests || again->clean != presence->clean) std::abort();
  return 0;
}
