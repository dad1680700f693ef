// Chunks that lie about themselves: an error each, nothing written outside the buffer.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "erofs-format/base/codec.h"
#include "erofs-format/base/endian.h"

using namespace erofs_format;

namespace {

constexpr size_t kSize = 4096;
constexpr uint8_t kGuard = 0xa5;

struct Case {
  std::string name;
  Compressor compressor;
  Buffer input;
};

// Squares repeat modulo 256, so that both codecs make it smaller.
Buffer text() {
  Buffer bytes(kSize);
  for (size_t i = 0; i < kSize; i++) bytes[i] = static_cast<uint8_t>(i % 64 * (i % 64));
  return bytes;
}

Buffer packed(Compressor compressor, ByteView plain) {
  auto encoder = Encoder::create(compressor);
  REQUIRE(encoder);
  Buffer out;
  auto bytes = encoder->compress(plain, out);
  REQUIRE(bytes);
  REQUIRE_FALSE(bytes->empty());
  return Buffer(bytes->begin(), bytes->end());
}

Buffer joined(Buffer first, const Buffer& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Zeros to `size` bytes; compresses to almost nothing.
Buffer zeros(Compressor compressor, size_t size) { return packed(compressor, Buffer(size)); }

// A frame of `blocks` run-length blocks of 128 KiB each: 4 bytes give 128 KiB.
Buffer zstd_bomb(uint8_t window, size_t blocks) {
  Buffer bytes = {0x28, 0xb5, 0x2f, 0xfd, 0x00, window};
  for (size_t i = 0; i < blocks; i++) {
    uint32_t header = (128u << 10) << 3 | 1u << 1 | (i + 1 == blocks);
    for (int byte = 0; byte < 3; byte++) bytes.push_back(static_cast<uint8_t>(header >> (8 * byte)));
    bytes.push_back(0);
  }
  return bytes;
}

// A single-segment frame that declares `size`, then holds one raw block of one byte.
Buffer zstd_declaring(uint64_t size) {
  Buffer bytes = {0x28, 0xb5, 0x2f, 0xfd, 0xe0};
  for (int byte = 0; byte < 8; byte++) bytes.push_back(static_cast<uint8_t>(size >> (8 * byte)));
  return joined(bytes, {0x09, 0, 0, 'x'});
}

void add_common(std::vector<Case>& cases, Compressor compressor) {
  std::string name = to_string(compressor);
  Buffer good = packed(compressor, text());
  for (size_t cut : {size_t{0}, size_t{1}, size_t{4}, good.size() / 2, good.size() - 1})
    cases.push_back({name + " cut at " + std::to_string(cut), compressor,
                     Buffer(good.begin(), good.begin() + static_cast<long>(cut))});
  for (size_t more : {1, 7, 4096})
    cases.push_back(
        {name + " with trailing bytes " + std::to_string(more), compressor, joined(good, Buffer(more, 0))});
  cases.push_back({name + " twice", compressor, joined(good, good)});
  for (size_t size : {kSize - 1, kSize + 1, 2 * kSize, size_t{1} << 20, size_t{64} << 20})
    cases.push_back({name + " of " + std::to_string(size), compressor, zeros(compressor, size)});
  for (size_t byte : {0x00, 0xff})
    cases.push_back(
        {name + " only " + std::to_string(byte), compressor, Buffer(300, static_cast<uint8_t>(byte))});
}

void add_zstd(std::vector<Case>& cases) {
  auto add = [&](std::string name, Buffer input) {
    cases.push_back({"zstd " + name, Compressor::zstd, std::move(input)});
  };
  Buffer good = packed(Compressor::zstd, text());
  Buffer skippable = {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'};
  add("4 KiB to 128 MiB", zstd_bomb(0x58, 1024));
  add("window 2^31", zstd_bomb(0xa8, 1));
  add("window 2^41", zstd_bomb(0xf8, 1));
  for (uint64_t size : {uint64_t{kSize}, uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX - 2})
    add("declares " + std::to_string(size), zstd_declaring(size));
  add("skippable frame alone", skippable);
  add("skippable frame first", joined(skippable, good));
  add("skippable frame last", joined(good, skippable));
  Buffer dictionary = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 0x05, 0x01, 0x29, 0, 0, 'a', 'b', 'c', 'd', 'e'};
  add("dictionary id", dictionary);
  add("magic of version 0.7", {0x27, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0xc0, 0x00, 0x00});
}

void add_lz4(std::vector<Case>& cases) {
  auto add = [&](std::string name, Buffer input) {
    cases.push_back({"lz4 " + name, Compressor::lz4_block, std::move(input)});
  };
  add("match before the start", {0x1f, 'a', 0x02, 0x00, 0xff, 0xff, 0x10, 0x50, 1, 2, 3, 4, 5});
  add("match at distance 0", {0x1f, 'a', 0x00, 0x00, 0xff, 0xff, 0x10, 0x50, 1, 2, 3, 4, 5});
  add("literals longer than the block", {0xf0, 0xff, 0xff, 0x00, 'a'});
  add("endless length bytes", joined({0xff}, Buffer(4096, 0xff)));
}

}  // namespace

TEST_CASE("chunks that lie about their size or content are corrupt and write nowhere else") {
  std::vector<Case> cases;
  add_common(cases, Compressor::zstd);
  add_common(cases, Compressor::lz4_block);
  add_zstd(cases);
  add_lz4(cases);
  CHECK(cases.size() >= 40);
  Decoder decoder;  // one for all: a refused chunk leaves nothing behind
  for (const auto& bad : cases) {
    INFO(bad.name);
    Buffer out(kSize + 64, kGuard);
    auto result = decoder.decompress(bad.compressor, bad.input, MutableBytes(out).first(kSize));
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::corrupt);
    CHECK(std::all_of(out.begin() + kSize, out.end(), [](uint8_t byte) { return byte == kGuard; }));
    Buffer good = packed(bad.compressor, text());
    CHECK(decoder.decompress(bad.compressor, good, MutableBytes(out).first(kSize)));
    CHECK(std::equal(out.begin(), out.begin() + kSize, text().begin()));
  }
}

TEST_CASE("a skippable frame is no chunk, even where nothing is expected") {
  Buffer skippable = {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'};
  CHECK_FALSE(Decoder().decompress(Compressor::zstd, skippable, {}));
}
