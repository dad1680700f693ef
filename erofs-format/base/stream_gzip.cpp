// gzip members one after another (RFC 1952), inflated by ISA-L, which also checks each
// member's CRC and length.
#include <fmt/format.h>
#include <isa-l/igzip_lib.h>

#include <algorithm>

#include "erofs-format/base/compressed_input.h"

namespace erofs_format {

namespace {

constexpr size_t kMemberHeaderSize = 10;
constexpr uint8_t kReservedFlags = 0xe0;
// ISA-L counts in 32 bits.
constexpr size_t kMaxOutput = size_t{1} << 30;

const char* describe(int status) {
  switch (status) {
    case ISAL_INVALID_BLOCK: return "invalid deflate block";
    case ISAL_INVALID_SYMBOL: return "invalid deflate symbol";
    case ISAL_INVALID_LOOKBACK: return "match before the start of the data";
    case ISAL_INCORRECT_CHECKSUM: return "wrong checksum or length";
    default: return "invalid header";
  }
}

class GzipSource : public ByteSource {
 public:
  GzipSource(std::unique_ptr<ByteSource> compressed, std::string name)
      : input_(std::move(compressed)), name_(std::move(name)) {
    isal_inflate_init(&inflate_);
  }

  Result<size_t> read(MutableBytes into) override {
    if (into.empty()) return size_t{0};
    for (;;) {
      if (!in_member_) {
        TRY_ASSIGN(bool more, start_member());
        if (!more) return size_t{0};
      }
      TRY_ASSIGN(size_t n, inflate_into(into));
      if (n > 0) return n;
    }
  }

 private:
  Error corrupt(std::string_view what) const {
    return make_error(Code::corrupt,
                      fmt::format("{}: gzip: {} at input byte {}", name_, what, input_.offset()));
  }

  // False at the end of the input.
  Result<bool> start_member() {
    TRY(input_.ensure(kMemberHeaderSize));
    if (!first_ && input_.ended()) return false;
    if (!first_ && input_.bytes()[0] == 0) return skip_padding();
    ByteView head = input_.bytes();
    if (head.size() < kMemberHeaderSize) return corrupt(first_ ? "truncated" : "trailing garbage");
    if (sniff(head) != StreamFormat::gzip) return corrupt(first_ ? "not a gzip stream" : "trailing garbage");
    if (head[3] & kReservedFlags) return corrupt("reserved flags");
    isal_inflate_reset(&inflate_);
    inflate_.crc_flag = ISAL_GZIP;
    first_ = false;
    in_member_ = true;
    return true;
  }

  // Zeros up to the end, as tapes leave them and gzip ignores them; always false.
  Result<bool> skip_padding() {
    while (!input_.ended()) {
      ByteView bytes = input_.bytes();
      auto other = std::find_if(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte != 0; });
      input_.consume(static_cast<size_t>(other - bytes.begin()));
      if (other != bytes.end()) return corrupt("trailing garbage");
      TRY(input_.ensure(1));
    }
    return false;
  }

  // May be 0 inside a member: a header alone gives no output.
  Result<size_t> inflate_into(MutableBytes into) {
    TRY(input_.ensure(1));
    ByteView bytes = input_.bytes();
    inflate_.next_in = const_cast<uint8_t*>(bytes.data());  // read only
    inflate_.avail_in = static_cast<uint32_t>(bytes.size());
    inflate_.next_out = into.data();
    inflate_.avail_out = static_cast<uint32_t>(std::min(into.size(), kMaxOutput));
    int status = isal_inflate(&inflate_);
    input_.consume(bytes.size() - inflate_.avail_in);
    auto produced = static_cast<size_t>(inflate_.next_out - into.data());
    if (status == ISAL_NEED_DICT || status < 0) return corrupt(describe(status));
    in_member_ = inflate_.block_state != ISAL_BLOCK_FINISH;
    if (in_member_ && produced == 0 && inflate_.avail_in == bytes.size())
      return corrupt(bytes.empty() ? "truncated" : "no progress");
    return produced;
  }

  CompressedInput input_;
  std::string name_;
  inflate_state inflate_;
  bool first_ = true;
  bool in_member_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> make_gzip_source(std::unique_ptr<ByteSource> compressed, std::string name) {
  return std::make_unique<GzipSource>(std::move(compressed), std::move(name));
}

}  // namespace erofs_format
