// Chunk decompression: the first bytes choose compressor and declared size, the rest is the stored chunk.
#include <cstdint>
#include <cstdlib>

#include "erofs-format/base/codec.h"

using namespace erofs_format;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHead = 4;
  if (size < kHead) return 0;
  auto compressor = static_cast<Compressor>(data[0] % 4);
  Buffer out((size_t{data[1]} | size_t{data[2]} << 8 | size_t{data[3]} << 16) % (1 << 20));
  static Decoder decoder;
  if (!decoder.decompress(compressor, ByteView(data + kHead, size - kHead), out)) return 0;

  // What was understood is understood the same way again.
  Buffer again(out.size());
  if (!decoder.decompress(compressor, ByteView(data + kHead, size - kHead), again) || again != out)
    std::abort();
  return 0;
}
