// A presence journal. The checksums of what is given are made right, record by record, so that what lies
// behind them is reached.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "fscached/object/presence.h"

using namespace fscached;

namespace {

constexpr size_t kHeader = 48, kHeaderSum = 16, kRecord = 40, kEntry = 36, kCount = 36;

void make_right(Buffer& file, size_t at, size_t begin, size_t size) {
  Digest sum = sha256(ByteView(file).subspan(begin, size));
  std::memcpy(file.data() + at, sum.bytes.data(), sum.bytes.size());
}

void make_right(Buffer& file) {
  if (file.size() < kHeader) return;
  make_right(file, kHeaderSum, 0, kHeaderSum);
  for (size_t at = kHeader; at + kRecord <= file.size();) {
    uint32_t count = 0;
    std::memcpy(&count, file.data() + at + kCount, sizeof(count));
    size_t size = kRecord + std::min<size_t>(count, (file.size() - at - kRecord) / kEntry) * kEntry;
    make_right(file, at, at + 32, size - 32);
    at += size;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Buffer file(data, data + size);
  make_right(file);
  auto presence = decode_presence(file, "presence");
  if (!presence) return 0;
  auto again = decode_presence(encode_presence(*presence), "again");
  if (!again || !again->extendable || again->clean != presence->clean) std::abort();
  if (again->chunks != presence->chunks) std::abort();
  return 0;
}
