#include "fscached/object/presence.h"

#include <doctest/doctest.h>

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
