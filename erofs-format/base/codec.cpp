#include "erofs-format/base/codec.h"

#include <fmt/format.h>
#include <lz4.h>
#include <zlib.h>
#include <zstd.h>

#include "erofs-format/base/endian.h"

namespace erofs_format {

namespace {

Error corrupt(const std::string& what) { return make_error(Code::corrupt, what); }

// The declared size is the only size a frame may have; what it claims itself counts for nothing.
Result<void> exact(uint64_t got, size_t want) {
  if (got == want) return {};
  return corrupt(fmt::format("decompressed to {} bytes instead of {}", got, want));
}

Result<void> decompress_zstd(ZSTD_DCtx* context, ByteView input, MutableBytes out) {
  // Neither a skippable frame, which holds nothing, nor a format before 1.0.
  const auto* magic = struct_at<le32>(input, 0);
  if (!magic || *magic != ZSTD_MAGICNUMBER) return corrupt("zstd: not a frame");
  size_t frame = ZSTD_findFrameCompressedSize(input.data(), input.size());
  if (ZSTD_isError(frame)) return corrupt(fmt::format("zstd: {}", ZSTD_getErrorName(frame)));
  if (frame != input.size())
    return corrupt(fmt::format("zstd: frame ends at byte {} of {}", frame, input.size()));
  size_t n = ZSTD_decompressDCtx(context, out.data(), out.size(), input.data(), input.size());
  if (ZSTD_isError(n)) return corrupt(fmt::format("zstd: {}", ZSTD_getErrorName(n)));
  return exact(n, out.size());
}

Result<void> decompress_lz4(ByteView input, MutableBytes out) {
  if (input.size() > LZ4_MAX_INPUT_SIZE || out.size() > LZ4_MAX_INPUT_SIZE)
    return corrupt("lz4: larger than a block can be");
  int n =
      LZ4_decompress_safe(reinterpret_cast<const char*>(input.data()), reinterpret_cast<char*>(out.data()),
                          static_cast<int>(input.size()), static_cast<int>(out.size()));
  if (n < 0) return corrupt("lz4: damaged block");
  return exact(static_cast<uint64_t>(n), out.size());
}

struct Inflater {
  z_stream stream = {};
  ~Inflater() { inflateEnd(&stream); }

  Result<void> begin(const InflateStart& start) {
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
      return make_error(Code::internal, "gzip: cannot initialise");
    if (start.bits != 0 && inflatePrime(&stream, start.bits, start.byte >> (8 - start.bits)) != Z_OK)
      return corrupt("gzip: bits of the checkpoint are wrong");
    if (!start.dictionary.empty() && inflateSetDictionary(&stream, start.dictionary.data(),
                                                          static_cast<uInt>(start.dictionary.size())) != Z_OK)
      return corrupt("gzip: dictionary of the checkpoint is wrong");
    return {};
  }
  // Behind the trailer of a member: the header of the next, then raw again.
  Result<void> next_member() {
    constexpr unsigned kTrailer = 8;
    if (stream.avail_in < kTrailer) return corrupt("gzip: stream ends before its last byte");
    stream.next_in += kTrailer;
    stream.avail_in -= kTrailer;
    if (inflateReset2(&stream, 16 + MAX_WBITS) != Z_OK || inflate(&stream, Z_BLOCK) != Z_OK ||
        (stream.data_type & 0x80) == 0)
      return corrupt("gzip: no member follows the one that ended");
    return inflateReset2(&stream, -MAX_WBITS) == Z_OK ? Result<void>() : corrupt("gzip: cannot go on");
  }
};

Result<void> decompress_gzip(ByteView input, MutableBytes out) {
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (input.size() > UINT32_MAX || out.size() > UINT32_MAX)
    return corrupt("gzip: larger than a chunk can be");
  z_stream stream = {};
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) return make_error(Code::internal, "gzip: cannot initialise");
  stream.next_in = const_cast<uint8_t*>(input.data());  // zlib reads only
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  int status = inflate(&stream, Z_FINISH);
  uint64_t produced = stream.total_out;
  uint64_t consumed = stream.total_in;
  inflateEnd(&stream);
  if (status != Z_STREAM_END) return corrupt("gzip: damaged, truncated or larger than declared");
  if (consumed != input.size())
    return corrupt(fmt::format("gzip: member ends at byte {} of {}", consumed, input.size()));
  return exact(produced, out.size());
}

}  // namespace

const char* to_string(Compressor compressor) {
  switch (compressor) {
    case Compressor::none: return "none";
    case Compressor::lz4_block: return "lz4_block";
    case Compressor::gzip: return "gzip";
    case Compressor::zstd: return "zstd";
  }
  return "unknown";
}

struct Encoder::State {
  Compressor compressor;
  ZSTD_CCtx* zstd = nullptr;
  ~State() { ZSTD_freeCCtx(zstd); }
};

Encoder::Encoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

Result<Encoder> Encoder::create(Compressor compressor, int level) {
  if (compressor == Compressor::gzip)
    return make_error(Code::unsupported, "gzip chunks are read, not written: use zstd, lz4 or none");
  auto state = std::make_unique<State>();
  state->compressor = compressor;
  if (compressor == Compressor::zstd) {
    state->zstd = ZSTD_createCCtx();
    if (!state->zstd) return make_error(Code::internal, "zstd: no memory for a context");
    size_t status =
        ZSTD_CCtx_setParameter(state->zstd, ZSTD_c_compressionLevel, level ? level : ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_isError(status)) return make_error(Code::invalid_argument, fmt::format("zstd level {}", level));
  } else if (level != 0) {
    return make_error(Code::invalid_argument, fmt::format("{} has no levels", to_string(compressor)));
  }
  return Encoder(std::move(state));
}

Result<ByteView> Encoder::compress(ByteView input, Buffer& out) {
  if (state_->compressor == Compressor::none || input.empty()) return ByteView{};
  // One byte less than the input: whatever does not fit is not worth storing compressed.
  size_t limit = input.size() - 1;
  size_t n = 0;
  if (state_->compressor == Compressor::zstd) {
    size_t bound = ZSTD_compressBound(input.size());
    if (out.size() < bound) out.resize(bound);
    n = ZSTD_compress2(state_->zstd, out.data(), bound, input.data(), input.size());
    if (ZSTD_isError(n)) return make_error(Code::internal, fmt::format("zstd: {}", ZSTD_getErrorName(n)));
  } else {
    if (input.size() > LZ4_MAX_INPUT_SIZE) return make_error(Code::too_large, "lz4: chunk too large");
    auto bound = static_cast<size_t>(LZ4_compressBound(static_cast<int>(input.size())));
    if (out.size() < bound) out.resize(bound);
    int written =
        LZ4_compress_default(reinterpret_cast<const char*>(input.data()), reinterpret_cast<char*>(out.data()),
                             static_cast<int>(input.size()), static_cast<int>(bound));
    if (written <= 0) return make_error(Code::internal, "lz4: cannot compress");
    n = static_cast<size_t>(written);
  }
  if (n > limit) return ByteView{};
  return ByteView(out.data(), n);
}

Result<void> compress_zstd_in_pieces(ByteView input, const std::function<Result<void>(ByteView)>& sink) {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  if (!context) return make_error(Code::internal, "zstd: no memory for a context");
  ZSTD_CCtx_setPledgedSrcSize(context.get(), input.size());
  Buffer piece(ZSTD_CStreamOutSize());
  ZSTD_inBuffer in = {input.data(), input.size(), 0};
  for (size_t left = 1; left != 0;) {
    ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
    left = ZSTD_compressStream2(context.get(), &out, &in, ZSTD_e_end);
    if (ZSTD_isError(left))
      return make_error(Code::internal, fmt::format("zstd: {}", ZSTD_getErrorName(left)));
    TRY(sink(ByteView(piece).first(out.pos)));
  }
  return {};
}

Result<void> inflate_from(const InflateStart& start, ByteView input, MutableBytes out) {
  if (input.size() > UINT32_MAX || out.size() > UINT32_MAX) return corrupt("gzip: larger than a part can be");
  Inflater inflater;
  z_stream& stream = inflater.stream;
  TRY(inflater.begin(start));
  stream.next_in = const_cast<uint8_t*>(input.data());  // zlib reads only
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  while (stream.avail_out != 0) {
    int status = inflate(&stream, Z_NO_FLUSH);
    if (stream.avail_out == 0) break;
    if (status != Z_STREAM_END) return corrupt("gzip: damaged, or shorter than declared");
    TRY(inflater.next_member());
  }
  return {};
}

struct Decoder::State {
  ZSTD_DCtx* zstd = nullptr;  // made at the first use
  ~State() { ZSTD_freeDCtx(zstd); }
};

Decoder::Decoder() : state_(std::make_unique<State>()) {}
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;
Decoder::~Decoder() = default;

Result<void> Decoder::decompress(Compressor compressor, ByteView input, MutableBytes out) {
  switch (compressor) {
    case Compressor::none:
      TRY(exact(input.size(), out.size()));
      if (!input.empty()) std::memcpy(out.data(), input.data(), input.size());
      return {};
    case Compressor::lz4_block: return decompress_lz4(input, out);
    case Compressor::gzip: return decompress_gzip(input, out);
    case Compressor::zstd:
      if (!state_->zstd) state_->zstd = ZSTD_createDCtx();
      if (!state_->zstd) return make_error(Code::internal, "zstd: no memory for a context");
      return decompress_zstd(state_->zstd, input, out);
  }
  return make_error(Code::unsupported, "unknown compressor");
}

}  // namespace erofs_format
