#include "erofs-format/base/stream.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <random>

using namespace erofs_format;

namespace {

// Gives at most `piece` bytes a call, then an error or the end.
class PieceSource : public ByteSource {
 public:
  PieceSource(Buffer bytes, size_t piece, bool fail = false)
      : bytes_(std::move(bytes)), piece_(piece), fail_(fail) {}
  Result<size_t> read(MutableBytes into) override {
    size_t n = std::min({piece_, into.size(), bytes_.size() - given_});
    if (n == 0 && fail_) return make_error(Code::io, "pieces: read failed");
    std::copy_n(bytes_.data() + given_, n, into.data());
    given_ += n;
    return n;
  }

 private:
  Buffer bytes_;
  size_t piece_;
  bool fail_;
  size_t given_ = 0;
};

Result<Buffer> drain(ByteSource& source, size_t piece = 10000) {
  Buffer all;
  Buffer part(piece);
  for (;;) {
    TRY_ASSIGN(size_t n, source.read(part));
    if (n == 0) return all;
    all.insert(all.end(), part.begin(), part.begin() + static_cast<long>(n));
  }
}

// Half noise, half text-like, so that both stored and Huffman blocks occur.
Buffer sample(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Buffer bytes(size);
  for (size_t i = 0; i < size; i++)
    bytes[i] = static_cast<uint8_t>((i / 5000) % 2 ? random() : 'a' + random() % 4);
  return bytes;
}

Buffer gzip(ByteView bytes) {
  z_stream stream = {};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Buffer out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<uint8_t*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Buffer zstd(ByteView bytes) {
  Buffer out(ZSTD_compressBound(bytes.size()));
  size_t n = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  REQUIRE_FALSE(ZSTD_isError(n));
  out.resize(n);
  return out;
}

Result<Buffer> inflate(Buffer compressed, size_t piece, size_t out_piece = 10000) {
  auto source = make_sniffing_source(std::make_unique<PieceSource>(std::move(compressed), piece), "layer");
  if (!source) return std::move(source).error();
  return drain(**source, out_piece);
}

using Compress = Buffer (*)(ByteView);

}  // namespace

TEST_CASE("sniffing knows gzip, zstd and skippable frames") {
  CHECK(sniff(gzip(as_bytes("x"))) == StreamFormat::gzip);
  CHECK(sniff(zstd(as_bytes("x"))) == StreamFormat::zstd);
  CHECK(sniff(as_bytes("\x5f\x2a\x4d\x18")) == StreamFormat::zstd);
  CHECK(sniff(as_bytes("\x1f\x8b")) == StreamFormat::plain);
  CHECK(sniff({}) == StreamFormat::plain);
}

TEST_CASE("plain streams pass whole, however short") {
  for (size_t size : {0, 1, 3, 4, 5, 100000}) {
    Buffer bytes(size, 'p');
    CHECK(inflate(bytes, 3).value() == bytes);
  }
}

TEST_CASE("several members and frames in a row are one stream, for every size of piece") {
  for (Compress compress : {Compress{gzip}, Compress{zstd}}) {
    Buffer plain;
    Buffer packed;
    for (unsigned i = 0; i < 6; i++) {
      Buffer part = sample(i == 3 ? 0 : 1 + i * i * 9000, i);
      append(plain, part);
      append(packed, compress(part));
    }
    for (size_t piece : {1, 2, 7, 4096, 1 << 20})
      for (size_t out_piece : {1000, 65536, 1 << 21})
        CHECK(inflate(packed, piece, out_piece).value() == plain);
  }
}

TEST_CASE("skippable zstd frames are skipped, first, between and last") {
  Buffer skip = {0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'};
  Buffer packed = skip;
  append(packed, zstd(as_bytes("one")));
  append(packed, skip);
  append(packed, zstd(as_bytes("two")));
  append(packed, skip);
  CHECK(as_text(inflate(packed, 5).value()) == "onetwo");
  packed.pop_back();
  CHECK(inflate(packed, 5).error().code == Code::corrupt);
}

TEST_CASE("a stream cut anywhere is corrupt, never shorter") {
  for (Compress compress : {Compress{gzip}, Compress{zstd}}) {
    Buffer whole = compress(sample(20000, 1));
    for (size_t size = 4; size < whole.size(); size++) {
      auto result = inflate(Buffer(whole.begin(), whole.begin() + static_cast<long>(size)), 4096);
      REQUIRE_FALSE(result);
      REQUIRE(result.error().code == Code::corrupt);
      REQUIRE(result.error().message.find("at input byte") != std::string::npos);
    }
  }
}

TEST_CASE("garbage after the end is corrupt; zeros after gzip are padding") {
  Buffer packed = gzip(as_bytes("text"));
  Buffer padded = packed;
  padded.resize(packed.size() + 3000000);
  CHECK(as_text(inflate(padded, 4096).value()) == "text");
  padded.back() = 1;
  auto result = inflate(padded, 4096);
  REQUIRE_FALSE(result);
  CHECK(result.error().message ==
        "layer: gzip: trailing garbage at input byte " + std::to_string(padded.size() - 1));
  for (Compress compress : {Compress{gzip}, Compress{zstd}}) {
    packed = compress(as_bytes("text"));
    append(packed, Buffer(20, 'x'));
    CHECK(inflate(packed, 4096).error().code == Code::corrupt);
  }
}

TEST_CASE("a wrong checksum or length in a gzip trailer is seen") {
  for (size_t back = 1; back <= 8; back++) {
    Buffer packed = gzip(sample(100000, 2));
    packed[packed.size() - back] ^= 1;
    auto result = inflate(packed, 4096);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::corrupt);
  }
}

TEST_CASE("a zstd window over the limit is refused before memory is taken") {
  // Window descriptor 0xb0: 4 GiB; no content size, no checksum.
  Buffer packed = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xb0, 0x01, 0x00, 0x00};
  auto result = inflate(packed, 4096);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::corrupt);
}

TEST_CASE("reading ahead changes nothing but the thread") {
  Buffer plain = sample(300000, 3);
  for (size_t depth : {1, 2, 5})
    for (size_t size : {1000, 4096, 1 << 20}) {
      auto source = make_read_ahead_source(std::make_unique<PieceSource>(plain, 777), size, depth);
      CHECK(drain(*source, 1234).value() == plain);
      CHECK(source->read(plain).value() == 0);
    }
}

TEST_CASE("an error comes after the bytes before it, and stays") {
  Buffer plain = sample(5000, 4);
  auto source = make_read_ahead_source(std::make_unique<PieceSource>(plain, 777, true), 1 << 20, 2);
  Buffer got(plain.size());
  CHECK(source->read(got).value() == got.size());
  CHECK(got == plain);
  CHECK(source->read(got).error().code == Code::io);
  CHECK(source->read(got).error().message == "pieces: read failed");
}

TEST_CASE("a reader that ends early does not wait for the whole stream") {
  auto source = make_read_ahead_source(std::make_unique<PieceSource>(sample(1 << 20, 5), 4096), 4096, 2);
  Buffer few(10);
  CHECK(source->read(few).value() == 10);
}

TEST_CASE("a descriptor is a source, a FIFO too") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  {
    os::UniqueFd writer(ends[1]);
    REQUIRE(os::write_all(writer.get(), gzip(as_bytes("through a pipe")), "pipe"));
  }
  auto source = make_sniffing_source(make_fd_source(os::UniqueFd(ends[0]), "pipe"), "pipe");
  REQUIRE(source);
  CHECK(as_text(drain(**source).value()) == "through a pipe");
}
