// Sequential input, plain, gzip or zstd, read in pieces whose size the first byte chooses.
#include <cstdint>
#include <cstdlib>

#include "erofs-format/base/stream.h"

using namespace erofs_format;

namespace {

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
  Result<size_t> read(MutableBytes into) override {
    size_t n = std::min(into.size(), bytes_.size());
    if (n) std::memcpy(into.data(), bytes_.data(), n);
    bytes_ = bytes_.subspan(n);
    return n;
  }

 private:
  ByteView bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  auto source = make_sniffing_source(std::make_unique<MemorySource>(ByteView(data + 1, size - 1)), "input");
  if (!source) return 0;
  Buffer piece(size_t{data[0]} * 256 + 1);
  // A small input may stand for a lot; a bound on the work, not on the reader.
  constexpr uint64_t kEnough = 16 << 20;
  for (uint64_t total = 0; total < kEnough;) {
    auto n = (*source)->read(piece);
    if (!n || *n == 0) return 0;
    if (*n > piece.size()) std::abort();
    total += *n;
  }
  return 0;
}
