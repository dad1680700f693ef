#include "mkfs/original.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "erofs-format/ondisk/blob.h"

namespace mkfs {

namespace {

constexpr size_t kInputBuffer = 256 << 10;
// An inflater's state is kept after this many bytes: less costs information, more costs what is fetched and
// inflated in vain before a chunk.
constexpr uint64_t kCompressedStep = 512 << 10;
constexpr uint64_t kRawStep = 2 << 20;
// What an entry of the chunk information can say.
constexpr uint64_t kMaxStoredSize = 0xffffff;

// Where a deflate block begins; before the first and behind the last of a member, too.
struct Boundary {
  uint64_t in = 0;
  uint64_t out = 0;
  bool ends_member = false;
};

// A boundary an inflater can start at.
struct Start {
  size_t boundary = 0;
  uint8_t byte = 0;
  uint8_t bits = 0;
  Buffer dictionary;
};

class Stream : public ByteSource, public Original {
 public:
  Stream(std::unique_ptr<ByteSource> stored, std::string name)
      : stored_(std::move(stored)), name_(std::move(name)), input_(kInputBuffer) {}
  ~Stream() override {
    if (gzip_) inflateEnd(&inflater_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Result<void> begin();
  Result<size_t> read(MutableBytes into) override;
  Digest digest() const override { return hash_.digest(); }
  uint64_t size() const override { return size_; }
  bool is_gzip() const override { return gzip_; }
  Result<void> locate(ChunkTable& table) const override;

 private:
  Error corrupt(std::string_view what) const;
  Result<bool> fill();
  size_t take_plain(MutableBytes into);
  Result<void> inflate_step();
  void note_boundary(bool ends_member);
  void note_start();
  uint64_t place_in_stream(uint64_t raw) const;
  size_t boundary_from(uint64_t raw) const;
  void add_part(ChunkTable& table, const Start& start) const;
  Result<void> extend_part(ChunkTable& table, uint64_t raw_end) const;

  std::unique_ptr<ByteSource> stored_;
  std::string name_;
  Buffer input_;
  Sha256 hash_;
  uint64_t size_ = 0;  // read so far
  bool gzip_ = false;
  bool between_members_ = false;
  z_stream inflater_ = {};
  uint64_t raw_size_ = 0;  // inflated so far
  uint8_t last_byte_ = 0;  // of the input before this one
  std::vector<Boundary> boundaries_;
  std::vector<Start> starts_;
};

Error Stream::corrupt(std::string_view what) const {
  return make_error(Code::corrupt, fmt::format("{}: byte {}: {}", name_, size_ - inflater_.avail_in, what));
}

// More input; false at its end.
Result<bool> Stream::fill() {
  if (inflater_.avail_in == 0 && inflater_.next_in != nullptr && inflater_.next_in != input_.data())
    last_byte_ = *(inflater_.next_in - 1);
  TRY_ASSIGN(size_t got, stored_->read(input_));
  hash_.update(ByteView(input_).first(got));
  size_ += got;
  inflater_.next_in = input_.data();
  inflater_.avail_in = static_cast<uInt>(got);
  return got != 0;
}

Result<void> Stream::begin() {
  TRY_ASSIGN(bool more, fill());
  StreamFormat format = more ? sniff(ByteView(input_).first(inflater_.avail_in)) : StreamFormat::plain;
  if (format == StreamFormat::zstd)
    return make_error(Code::unsupported,
                      name_ + ": a zstd stream cannot be read from its middle: not supported");
  gzip_ = format == StreamFormat::gzip;
  if (gzip_ && inflateInit2(&inflater_, 16 + MAX_WBITS) != Z_OK)
    return make_error(Code::internal, "gzip: cannot initialise");
  return {};
}

size_t Stream::take_plain(MutableBytes into) {
  size_t size = std::min<size_t>(into.size(), inflater_.avail_in);
  std::memcpy(into.data(), inflater_.next_in, size);
  inflater_.next_in += size;
  inflater_.avail_in -= static_cast<uInt>(size);
  return size;
}

void Stream::note_start() {
  Start start;
  start.boundary = boundaries_.size() - 1;
  start.bits = static_cast<uint8_t>(inflater_.data_type & 7);
  if (start.bits != 0)
    start.byte = inflater_.next_in == input_.data() ? last_byte_ : *(inflater_.next_in - 1);
  start.dictionary.resize(ondisk::kMaxZranDictionary);
  uInt size = 0;
  inflateGetDictionary(&inflater_, start.dictionary.data(), &size);
  start.dictionary.resize(size);
  start.dictionary.shrink_to_fit();
  starts_.push_back(std::move(start));
}

void Stream::note_boundary(bool ends_member) {
  boundaries_.push_back({size_ - inflater_.avail_in, raw_size_, ends_member});
  if (ends_member) return;
  const Boundary& here = boundaries_.back();
  if (!starts_.empty()) {
    const Boundary& before = boundaries_[starts_.back().boundary];
    if (here.in - before.in < kCompressedStep && here.out - before.out < kRawStep) return;
  }
  note_start();
}

// Up to the next block, the end of the output or that of the input.
Result<void> Stream::inflate_step() {
  if (between_members_) {
    if (*inflater_.next_in != 0x1f) return corrupt("gzip: no member follows the one that ended");
    if (inflateReset(&inflater_) != Z_OK) return make_error(Code::internal, "gzip: cannot go on");
    between_members_ = false;
  }
  uInt room = inflater_.avail_out;
  int status = inflate(&inflater_, Z_BLOCK);
  raw_size_ += room - inflater_.avail_out;
  if (status == Z_STREAM_END) {
    between_members_ = true;
    return {};
  }
  if (status != Z_OK && status != Z_BUF_ERROR) return corrupt("gzip: damaged");
  constexpr int kAtBlock = 128, kInLastBlock = 64;
  if (inflater_.data_type & kAtBlock) note_boundary((inflater_.data_type & kInLastBlock) != 0);
  return {};
}

Result<size_t> Stream::read(MutableBytes into) {
  size_t wanted = std::min<size_t>(into.size(), kInputBuffer);
  for (;;) {
    if (inflater_.avail_in == 0) {
      TRY_ASSIGN(bool more, fill());
      if (!more && gzip_ && !between_members_) return corrupt("gzip: the stream ends too early");
      if (!more) return size_t{0};
    }
    if (!gzip_) return take_plain(into);
    inflater_.next_out = into.data();
    inflater_.avail_out = static_cast<uInt>(wanted);
    TRY(inflate_step());
    if (size_t got = wanted - inflater_.avail_out; got != 0) return got;
  }
}

// The first boundary that is not before a raw byte; there is one, the end of the last member.
size_t Stream::boundary_from(uint64_t raw) const {
  auto found = std::partition_point(boundaries_.begin(), boundaries_.end(),
                                    [&](const Boundary& boundary) { return boundary.out < raw; });
  return static_cast<size_t>(found - boundaries_.begin());
}

// Roughly: what a block holds is taken as spread evenly over it.
uint64_t Stream::place_in_stream(uint64_t raw) const {
  size_t next = boundary_from(raw);
  const Boundary& end = boundaries_[next];
  if (next == 0 || end.out == raw) return end.in;
  const Boundary& begin = boundaries_[next - 1];
  return begin.in + (end.in - begin.in) * (raw - begin.out) / (end.out - begin.out);
}

void Stream::add_part(ChunkTable& table, const Start& start) const {
  const Boundary& boundary = boundaries_[start.boundary];
  table.batches.push_back({boundary.in, 0, 0});
  table.checkpoints.push_back({boundary.out, table.dictionaries.size(),
                               narrow<uint32_t>(start.dictionary.size()), start.byte, start.bits});
  append(table.dictionaries, start.dictionary);
}

// The last part reaches to a raw byte at least.
Result<void> Stream::extend_part(ChunkTable& table, uint64_t raw_end) const {
  size_t next = boundary_from(raw_end);
  // nydusd cannot stop at the end of a member: one byte of the next one follows.
  if (boundaries_[next].out == raw_end && boundaries_[next].ends_member && raw_end < raw_size_)
    next = boundary_from(++raw_end);
  Batch& part = table.batches.back();
  uint64_t raw = raw_end - table.checkpoints.back().uncompressed_offset;
  uint64_t stored = boundaries_[next].in - part.compressed_offset;
  if (raw > kMaxZranPart || stored > kMaxZranPart)
    return make_error(
        Code::too_large,
        fmt::format("{}: deflate blocks of more than {} bytes cannot be read from their middle: "
                    "use the type targz-rafs",
                    name_, kMaxZranPart));
  part.uncompressed_size = std::max(part.uncompressed_size, static_cast<uint32_t>(raw));
  part.compressed_size = std::max(part.compressed_size, static_cast<uint32_t>(stored));
  return {};
}

Result<void> Stream::locate(ChunkTable& table) const {
  if (!gzip_) return {};
  size_t current = starts_.size();
  for (ChunkSpan& chunk : table.chunks) {
    uint64_t raw = chunk.compressed_offset;
    auto after = std::partition_point(starts_.begin(), starts_.end(), [&](const Start& start) {
      return boundaries_[start.boundary].out <= raw;
    });
    auto start = static_cast<size_t>(after - starts_.begin()) - 1;
    if (start != current) add_part(table, starts_[start]);
    current = start;
    TRY(extend_part(table, raw + chunk.uncompressed_size));
    chunk.in_batch = chunk.compressed = true;
    chunk.batch = narrow<uint32_t>(table.batches.size() - 1);
    chunk.offset_in_batch = narrow<uint32_t>(raw - table.checkpoints.back().uncompressed_offset);
    chunk.compressed_offset = place_in_stream(raw);
    uint64_t end = place_in_stream(raw + chunk.uncompressed_size);
    chunk.compressed_size = static_cast<uint32_t>(std::min(end - chunk.compressed_offset, kMaxStoredSize));
  }
  return {};
}

// The source and what is noted are one object with two owners.
class Shared : public ByteSource {
 public:
  explicit Shared(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  Result<size_t> read(MutableBytes into) override { return stream_->read(into); }

 private:
  std::shared_ptr<Stream> stream_;
};

}  // namespace

Result<OriginalSource> open_original(std::unique_ptr<ByteSource> stored, const std::string& name) {
  auto stream = std::make_shared<Stream>(std::move(stored), name);
  TRY(stream->begin());
  return OriginalSource{std::make_unique<Shared>(stream), stream};
}

}  // namespace mkfs
