#include "erofs-format/base/digest.h"

#include <doctest/doctest.h>

#include "erofs-format/base/codec.h"
#include "erofs-format/base/crc32c.h"

using namespace erofs_format;

TEST_CASE("digests of known texts") {
  CHECK(to_hex(sha256(as_bytes("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(digest_of(Digester::blake3, {})) ==
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  CHECK(crc32c(as_bytes("123456789")) == 0xE3069283);
}

TEST_CASE("hex is read back, and nothing else is") {
  Digest digest = sha256(as_bytes("x"));
  CHECK(digest_from_hex(to_hex(digest)).value() == digest);
  CHECK_FALSE(digest_from_hex(to_hex(digest).substr(1)));
  CHECK_FALSE(digest_from_hex(std::string(64, 'g')));
}

TEST_CASE("chunks come back exactly, and only exactly") {
  Buffer raw(100000);
  for (size_t i = 0; i < raw.size(); i++) raw[i] = static_cast<uint8_t>(i / 100);
  for (Compressor compressor : {Compressor::zstd, Compressor::lz4_block}) {
    auto encoder = Encoder::create(compressor);
    REQUIRE(encoder);
    Buffer out;
    auto compressed = encoder->compress(raw, out);
    REQUIRE(compressed);
    CHECK(compressed->size() < raw.size());
    Decoder decoder;
    Buffer back(raw.size());
    CHECK(decoder.decompress(compressor, *compressed, back));
    CHECK(back == raw);
    back.resize(raw.size() - 1);
    CHECK_FALSE(decoder.decompress(compressor, *compressed, back));
    back.resize(raw.size() + 1);
    CHECK_FALSE(decoder.decompress(compressor, *compressed, back));
  }
}
