#include "erofs-format/image/verified_source.h"

#include <fmt/format.h>

namespace erofs_format {

namespace {

class VerifiedSource : public ByteSource {
 public:
  VerifiedSource(std::unique_ptr<ByteSource> source, const Digest& digest, std::optional<uint64_t> size,
                 std::string name)
      : source_(std::move(source)), expected_(digest), size_(size), name_(std::move(name)) {}

  Result<size_t> read(MutableBytes into) override {
    if (ended_ || into.empty()) return size_t{0};
    TRY_ASSIGN(size_t n, source_->read(into));
    if (n == 0) {
      TRY(finish());
      ended_ = true;
      return size_t{0};
    }
    read_ += n;
    if (size_ && read_ > *size_)
      return make_error(Code::digest_mismatch,
                        fmt::format("{}: longer than the {} bytes its descriptor says", name_, *size_));
    hash_.update(into.first(n));
    return n;
  }

 private:
  Result<void> finish() {
    if (size_ && read_ != *size_)
      return make_error(Code::digest_mismatch,
                        fmt::format("{}: {} bytes, its descriptor says {}", name_, read_, *size_));
    Digest actual = hash_.digest();
    if (actual != expected_)
      return make_error(Code::digest_mismatch, fmt::format("{}: content is sha256:{}, expected sha256:{}",
                                                           name_, to_hex(actual), to_hex(expected_)));
    return {};
  }

  std::unique_ptr<ByteSource> source_;
  Digest expected_;
  std::optional<uint64_t> size_;
  std::string name_;
  Sha256 hash_;
  uint64_t read_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> make_verified_source(std::unique_ptr<ByteSource> source, const Digest& digest,
                                                 std::optional<uint64_t> size, std::string name) {
  return std::make_unique<VerifiedSource>(std::move(source), digest, size, std::move(name));
}

Result<void> drain(ByteSource& source) {
  Buffer scratch(1 << 16);
  for (;;) {
    TRY_ASSIGN(size_t n, source.read(scratch));
    if (n == 0) return {};
  }
}

}  // namespace erofs_format
