#include "erofs-format/base/stream.h"

#include <unistd.h>

#include <algorithm>

#include "erofs-format/base/compressed_input.h"
#include "erofs-format/base/endian.h"

namespace erofs_format {

namespace {

constexpr size_t kSniffSize = 4;

class FdSource : public ByteSource {
 public:
  FdSource(os::UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<size_t> read(MutableBytes into) override { return os::read_some(fd_.get(), into, name_); }
  Result<uint64_t> skip(uint64_t size) override {
    off_t at = ::lseek(fd_.get(), 0, SEEK_CUR);
    if (at < 0) return uint64_t{0};
    TRY_ASSIGN(struct stat st, os::stat_of(fd_.get(), name_));
    if (!S_ISREG(st.st_mode) || at >= st.st_size) return uint64_t{0};
    size = std::min(size, static_cast<uint64_t>(st.st_size - at));
    if (::lseek(fd_.get(), static_cast<off_t>(size), SEEK_CUR) < 0) return errno_error(name_);
    return size;
  }

 private:
  os::UniqueFd fd_;
  std::string name_;
};

// Gives back the head that sniffing took, then the rest.
class PrefixedSource : public ByteSource {
 public:
  PrefixedSource(Buffer head, std::unique_ptr<ByteSource> rest)
      : head_(std::move(head)), rest_(std::move(rest)) {}

  Result<size_t> read(MutableBytes into) override {
    if (given_ == head_.size()) return rest_->read(into);
    size_t n = std::min(into.size(), head_.size() - given_);
    std::copy_n(head_.data() + given_, n, into.data());
    given_ += n;
    return n;
  }

 private:
  Buffer head_;
  size_t given_ = 0;
  std::unique_ptr<ByteSource> rest_;
};

}  // namespace

Result<void> CompressedInput::ensure(size_t size) {
  if (end_ - begin_ >= size || ended_) return {};
  std::copy(buffer_.begin() + static_cast<long>(begin_), buffer_.begin() + static_cast<long>(end_),
            buffer_.begin());
  base_ += begin_;
  end_ -= begin_;
  begin_ = 0;
  while (end_ < size && !ended_) {
    TRY_ASSIGN(size_t n, source_->read(MutableBytes(buffer_).subspan(end_)));
    end_ += n;
    ended_ = n == 0;
  }
  return {};
}

StreamFormat sniff(ByteView head) {
  if (head.size() >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8) return StreamFormat::gzip;
  const auto* magic = struct_at<le32>(head, 0);
  if (!magic) return StreamFormat::plain;
  // RFC 8878 3.1.1 and 3.1.2: a frame, or one of sixteen kinds of skippable frame.
  constexpr uint32_t kFrame = 0xFD2FB528;
  constexpr uint32_t kSkippable = 0x184D2A50;
  bool zstd = *magic == kFrame || (*magic & 0xFFFFFFF0u) == kSkippable;
  return zstd ? StreamFormat::zstd : StreamFormat::plain;
}

std::unique_ptr<ByteSource> make_fd_source(os::UniqueFd fd, std::string name) {
  return std::make_unique<FdSource>(std::move(fd), std::move(name));
}

Result<std::unique_ptr<ByteSource>> make_sniffing_source(std::unique_ptr<ByteSource> source,
                                                         std::string name) {
  Buffer head(kSniffSize);
  size_t size = 0;
  while (size < head.size()) {
    TRY_ASSIGN(size_t n, source->read(MutableBytes(head).subspan(size)));
    if (n == 0) break;
    size += n;
  }
  head.resize(size);
  StreamFormat format = sniff(head);
  auto whole = std::make_unique<PrefixedSource>(std::move(head), std::move(source));
  switch (format) {
    case StreamFormat::gzip: return make_gzip_source(std::move(whole), std::move(name));
    case StreamFormat::zstd: return make_zstd_source(std::move(whole), std::move(name));
    case StreamFormat::plain: break;
  }
  return std::unique_ptr<ByteSource>(std::move(whole));
}

Result<void> read_in_pieces(int fd, uint64_t offset, uint64_t size, const std::string& name,
                            const std::function<Result<void>(ByteView)>& take) {
  constexpr uint64_t kPiece = uint64_t{1} << 18;
  Buffer buffer(std::min(size, kPiece));
  for (uint64_t end = offset + size; offset < end;) {
    MutableBytes part = MutableBytes(buffer).first(std::min<uint64_t>(end - offset, buffer.size()));
    TRY(os::pread_exact(fd, offset, part, name));
    TRY(take(part));
    offset += part.size();
  }
  return {};
}

}  // namespace erofs_format
