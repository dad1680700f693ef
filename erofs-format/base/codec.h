// Chunk compression: one buffer in, one buffer out, exact sizes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace erofs_format {

// Values are those of the RAFS blob table.
enum class Compressor : uint32_t { none = 0, lz4_block = 1, gzip = 2, zstd = 3 };

// "none", "lz4_block", "gzip", "zstd".
const char* to_string(Compressor compressor);

// Compresses chunks; one object per thread, its context is reused. The bytes
// depend on input, compressor, level and library version only.
class Encoder {
 public:
  // `level` 0 = the compressor's default (zstd 3, lz4's only one). gzip is not written: Code::unsupported.
  static Result<Encoder> create(Compressor compressor, int level = 0);
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;
  ~Encoder();
  // Compressed bytes of `input` in `out`, or an empty view when they would not
  // be smaller than the input (the chunk is then stored raw). `out` is resized as needed.
  Result<ByteView> compress(ByteView input, Buffer& out);

 private:
  struct State;
  explicit Encoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// One zstd frame of what is too large to be in memory a second time: `sink` gets it in pieces. The bytes
// depend on input and library version only.
Result<void> compress_zstd_in_pieces(ByteView input, const std::function<Result<void>(ByteView)>& sink);

// Decompresses chunks; one object per thread.
class Decoder {
 public:
  Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;
  ~Decoder();
  // Exactly out.size() bytes from exactly all of `input`: one frame (zstd), one
  // block (lz4), one member (gzip), nothing after it. Anything else is Code::corrupt. Memory
  // stays bounded by out.size() whatever the input claims.
  Result<void> decompress(Compressor compressor, ByteView input, MutableBytes out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Exactly out.size() raw bytes of a gzip stream from its middle on: `input` begins with a deflate block, of
// which `bits` upper bits of `byte` are the beginning; `dictionary` holds what was inflated before. Members
// that follow one another are one stream. Input that is left over is no error.
struct InflateStart {
  ByteView dictionary;
  uint8_t byte = 0;
  uint8_t bits = 0;  // 0 to 7
};
Result<void> inflate_from(const InflateStart& start, ByteView input, MutableBytes out);

}  // namespace erofs_format
