#include "erofs-format/image/read_bootstrap_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "erofs-format/base/checked.h"
#include "erofs-format/base/stream.h"

namespace erofs_format {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kMaxPaxBytes = 64 << 10;

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
  Result<size_t> read(MutableBytes into) override {
    size_t count = std::min(into.size(), bytes_.size());
    std::memcpy(into.data(), bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  ByteView bytes_;
};

using Block = std::array<uint8_t, kBlock>;

// Octal digits, then NUL or blank to the end of the field.
std::optional<uint64_t> octal(ByteView field) {
  uint64_t value = 0;
  size_t at = 0;
  while (at < field.size() && field[at] >= '0' && field[at] <= '7') value = value * 8 + (field[at++] - '0');
  if (at == 0) return std::nullopt;
  for (; at < field.size(); at++)
    if (field[at] != 0 && field[at] != ' ') return std::nullopt;
  return value;
}

bool checksum_is_right(const Block& block) {
  constexpr size_t kFirst = 148, kSize = 8;
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; i++) sum += i >= kFirst && i < kFirst + kSize ? ' ' : block[i];
  return octal(ByteView(block).subspan(kFirst, kSize)) == sum;
}

class Reader {
 public:
  Reader(std::unique_ptr<ByteSource> source, const std::string& name)
      : source_(std::move(source)), name_(name) {}
  Result<Buffer> run();

 private:
  Error bad(std::string_view what) const {
    return make_error(Code::corrupt, fmt::format("{}: at byte {} of the tar: {}", name_, at_, what));
  }
  Result<void> read_exact(MutableBytes into);
  Result<Buffer> content(uint64_t size, uint64_t limit);
  Result<void> skip(uint64_t size);
  Result<void> pass_pax(uint64_t size);

  std::unique_ptr<ByteSource> source_;
  const std::string& name_;
  uint64_t at_ = 0;
};

Result<void> Reader::read_exact(MutableBytes into) {
  while (!into.empty()) {
    TRY_ASSIGN(size_t got, source_->read(into));
    if (got == 0) return bad("it ends here");
    into = into.subspan(got);
    at_ += got;
  }
  return {};
}

Result<Buffer> Reader::content(uint64_t size, uint64_t limit) {
  if (size > limit) return bad(fmt::format("{} bytes are more than the limit of {}", size, limit));
  Buffer bytes(size);
  TRY(read_exact(bytes));
  TRY(skip(align_up(size, kBlock) - size));
  return bytes;
}

Result<void> Reader::skip(uint64_t size) {
  Block scratch;
  for (; size > 0; size -= std::min<uint64_t>(size, kBlock))
    TRY(read_exact(MutableBytes(scratch).first(std::min<uint64_t>(size, kBlock))));
  return {};
}

// Times and owners do not matter here; a record that would change what the next header means does.
Result<void> Reader::pass_pax(uint64_t size) {
  TRY_ASSIGN(Buffer bytes, content(size, kMaxPaxBytes));
  std::string_view text = as_text(bytes);
  for (const char* record : {" size=", " path="})
    if (text.find(record) != std::string_view::npos) return bad(fmt::format("a pax record{}", record));
  return {};
}

Result<Buffer> Reader::run() {
  for (uint64_t entries = 0; entries < kMaxLayerEntries; entries++) {
    Block block;
    TRY(read_exact(block));
    if (std::all_of(block.begin(), block.end(), [](uint8_t byte) { return byte == 0; }))
      return bad("the tar holds no image/image.boot");
    if (!checksum_is_right(block)) return bad("a header with a wrong checksum");
    std::optional<uint64_t> size = octal(ByteView(block).subspan(124, 12));
    if (!size) return bad("a size that is not octal");
    std::string_view entry = text_field(ByteView(block).first(100));
    char type = static_cast<char>(block[156]);
    if (type == 'x' || type == 'g') {
      TRY(pass_pax(*size));
    } else if (type != '0' && type != '\0' && type != '5') {
      return bad(fmt::format("an entry of type {}", printable({&type, 1})));
    } else if (type != '5' && (entry == "image/image.boot" || entry == "image.boot")) {
      return content(*size, kMaxBootstrapBytes);
    } else {
      TRY(skip(align_up(*size, kBlock)));
    }
  }
  return bad(fmt::format("more than {} entries", kMaxLayerEntries));
}

}  // namespace

Result<Buffer> read_bootstrap_layer(ByteView layer, const std::string& name) {
  TRY_ASSIGN(auto source, make_sniffing_source(std::make_unique<MemorySource>(layer), name));
  return Reader(std::move(source), name).run();
}

}  // namespace erofs_format
