#include "fscached/object/presence.h"

#include <doctest/doctest.h>

#include <cstring>

#include "fscached/limits.h"

using namespace fscached;

namespace {

Presence some_presence() {
  Presence presence;
  presence.clean = true;
  presence.file_size = 81920;
  presence.digests.resize(19);
  for (size_t i : {0u, 7u, 8u, 18u}) presence.digests[i] = sha256(as_bytes("chunk " + std::to_string(i)));
  return presence;
}

}  // namespace

TEST_CASE("presence: what was written is read") {
  Presence presence = some_presence();
  for (bool clean : {true, false}) {
    presence.clean = clean;
    auto read = decode_presence(encode_presence(presence), "p");
    REQUIRE(read);
    CHECK(read->clean == clean);
    CHECK(read->file_size == presence.file_size);
    CHECK(read->digests == presence.digests);
  }
  auto empty = decode_presence(encode_presence({}), "p");
  REQUIRE(empty);
  CHECK(empty->digests.empty());
}

TEST_CASE("presence: a torn file is no presence file") {
  Buffer whole = encode_presence(some_presence());
  for (size_t size = 0; size < whole.size(); size++)
    CHECK_FALSE(decode_presence(ByteView(whole).first(size), "p"));
  whole.push_back(0);
  CHECK_FALSE(decode_presence(whole, "p"));
}

TEST_CASE("presence: each flipped bit is found") {
  Buffer whole = encode_presence(some_presence());
  for (size_t i = 0; i < whole.size() * 8; i++) {
    whole[i / 8] ^= static_cast<uint8_t>(1 << (i % 8));
    CHECK_FALSE(decode_presence(whole, "p"));
    whole[i / 8] ^= static_cast<uint8_t>(1 << (i % 8));
  }
  CHECK(decode_presence(whole, "p"));
}

TEST_CASE("presence: the number of chunks is bounded, whatever the checksum says") {
  // A bit for each of them, none set, and the checksum made right.
  constexpr size_t kCount = 12, kChecksum = 24, kHeader = 56;
  Buffer file = encode_presence({});
  file.resize(kHeader + div_up(kMaxBlobChunks + 1, 8));
  file[kCount] = 1;
  file[kCount + 3] = kMaxBlobChunks >> 24;
  Sha256 hash;
  hash.update(ByteView(file).first(kChecksum));
  hash.update(ByteView(file).subspan(kHeader));
  std::memcpy(file.data() + kChecksum, hash.digest().bytes.data(), sizeof(Digest));
  auto read = decode_presence(file, "p");
  REQUIRE_FALSE(read);
  INFO(read.error().message);
  CHECK(read.error().message.find("more chunks than a blob can have") != std::string::npos);
}
