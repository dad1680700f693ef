// zstd frames and skippable frames one after another (RFC 8878).
#include <fmt/format.h>
#include <zstd.h>

#include "erofs-format/base/compressed_input.h"

namespace erofs_format {

namespace {

// Windows up to 128 MiB, what `zstd --long` writes.
constexpr int kMaxWindowLog = 27;
constexpr size_t kMagicSize = 4;

class ZstdSource : public ByteSource {
 public:
  ZstdSource(std::unique_ptr<ByteSource> compressed, std::string name)
      : input_(std::move(compressed)), name_(std::move(name)), context_(ZSTD_createDCtx()) {
    if (context_) ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;
  ~ZstdSource() override { ZSTD_freeDCtx(context_); }

  Result<size_t> read(MutableBytes into) override {
    if (!context_) return make_error(Code::internal, name_ + ": zstd: no memory for a context");
    if (into.empty()) return size_t{0};
    for (;;) {
      if (!in_frame_) {
        TRY_ASSIGN(bool more, start_frame());
        if (!more) return size_t{0};
      }
      TRY_ASSIGN(size_t n, decompress_into(into));
      if (n > 0) return n;
    }
  }

 private:
  Error corrupt(std::string_view what) const {
    return make_error(Code::corrupt,
                      fmt::format("{}: zstd: {} at input byte {}", name_, what, input_.offset()));
  }

  // False at the end of the input. The magic is looked at here because the library
  // would also accept the formats before 1.0, whose memory has no bound.
  Result<bool> start_frame() {
    TRY(input_.ensure(kMagicSize));
    if (!first_ && input_.ended()) return false;
    if (sniff(input_.bytes()) != StreamFormat::zstd)
      return corrupt(first_ ? "not a zstd stream" : "trailing garbage");
    first_ = false;
    in_frame_ = true;
    return true;
  }

  // May be 0 inside a frame: a header alone gives no output.
  Result<size_t> decompress_into(MutableBytes into) {
    TRY(input_.ensure(1));
    ByteView bytes = input_.bytes();
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer out = {into.data(), into.size(), 0};
    size_t status = ZSTD_decompressStream(context_, &out, &in);
    input_.consume(in.pos);
    if (ZSTD_isError(status)) return corrupt(ZSTD_getErrorName(status));
    in_frame_ = status != 0;
    if (in_frame_ && out.pos == 0 && bytes.empty()) return corrupt("truncated");
    return out.pos;
  }

  CompressedInput input_;
  std::string name_;
  ZSTD_DCtx* context_;
  bool first_ = true;
  bool in_frame_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> make_zstd_source(std::unique_ptr<ByteSource> compressed, std::string name) {
  return std::make_unique<ZstdSource>(std::move(compressed), std::move(name));
}

}  // namespace erofs_format
