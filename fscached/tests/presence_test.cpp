#include "fscached/object/presence.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <algorithm>

#include "erofs-format/base/os.h"
#include "fscached/limits.h"
#include "fscached/tests/scratch.h"

using namespace fscached;

namespace {

constexpr size_t kHeader = 48, kEntry = 36;

Digest digest_of(size_t chunk) { return sha256(as_bytes("chunk " + std::to_string(chunk))); }

Presence some_presence(bool clean = true, std::initializer_list<uint32_t> chunks = {0, 7, 8, 18}) {
  Presence presence;
  presence.clean = clean;
  presence.file_size = 81920;
  for (uint32_t i : chunks) presence.chunks.push_back({i, digest_of(i)});
  return presence;
}

Buffer joined(Buffer file, const Buffer& more) {
  append(file, more);
  return file;
}

// What is left of `file` says nothing that was not written, and is not clean.
void check_rest(ByteView file, const Presence& written) {
  auto read = decode_presence(file, "p");
  if (!read) return;
  CHECK_FALSE(read->clean);
  CHECK_FALSE(read->extendable);
  for (const PresenceEntry& entry : read->chunks)
    CHECK(std::find(written.chunks.begin(), written.chunks.end(), entry) != written.chunks.end());
}

}  // namespace

TEST_CASE("presence: what was written is read") {
  for (bool clean : {true, false}) {
    Presence presence = some_presence(clean);
    auto read = decode_presence(encode_presence(presence), "p");
    REQUIRE(read);
    CHECK(read->clean == clean);
    CHECK(read->extendable);
    CHECK(read->file_size == presence.file_size);
    CHECK(read->chunks == presence.chunks);
  }
  auto empty = decode_presence(encode_presence({}), "p");
  REQUIRE(empty);
  CHECK(empty->chunks.empty());
}

TEST_CASE("presence: what was added is read, and ends that it is clean") {
  Buffer file = encode_presence(some_presence());
  PresenceEntry added[] = {{3, digest_of(3)}, {30, digest_of(30)}, {7, Digest{}}};
  auto read = decode_presence(joined(file, encode_entries(added)), "p");
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->extendable);
  CHECK(read->chunks == some_presence(false, {0, 3, 8, 18, 30}).chunks);
  read = decode_presence(joined(file, encode_entries({})), "p");
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->chunks == some_presence().chunks);
}

TEST_CASE("presence: more chunks than one record holds") {
  Presence presence;
  presence.clean = true;
  for (uint32_t i = 0; i < kPresenceRecordEntries + 1; i++) presence.chunks.push_back({i, digest_of(i)});
  Buffer whole = encode_presence(presence);
  auto read = decode_presence(whole, "p");
  REQUIRE(read);
  CHECK(read->clean);
  CHECK(read->chunks == presence.chunks);
  // Without its last record, at whose end it is clean, it is not.
  read = decode_presence(ByteView(whole).first(whole.size() - 40 - kEntry), "p");
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->chunks.size() == kPresenceRecordEntries);
}

TEST_CASE("presence: cut anywhere, it says nothing wrong and is not clean") {
  Presence whole = some_presence();
  PresenceEntry added[] = {{3, digest_of(3)}};
  Buffer first = encode_presence(whole), file = joined(first, encode_entries(added));
  for (size_t size = 0; size < file.size(); size++) {
    if (size == first.size() || size == kHeader) continue;  // as if nothing more had been written
    check_rest(ByteView(file).first(size), some_presence(false, {0, 3, 7, 8, 18}));
  }
  auto torn = decode_presence(ByteView(file).first(file.size() - 1), "p");
  REQUIRE(torn);
  CHECK(torn->chunks == whole.chunks);
}

TEST_CASE("presence: each flipped bit is found") {
  PresenceEntry added[] = {{3, digest_of(3)}};
  Buffer file = joined(encode_presence(some_presence()), encode_entries(added));
  for (size_t i = 0; i < file.size() * 8; i++) {
    file[i / 8] ^= static_cast<uint8_t>(1 << (i % 8));
    check_rest(file, some_presence(false, {0, 3, 7, 8, 18}));
    file[i / 8] ^= static_cast<uint8_t>(1 << (i % 8));
  }
  CHECK(decode_presence(file, "p")->chunks[1] == added[0]);
}

TEST_CASE("presence: the number of chunks is bounded, whatever the checksum says") {
  PresenceEntry added[] = {{kMaxBlobChunks, digest_of(1)}};
  auto read = decode_presence(joined(encode_presence({}), encode_entries(added)), "p");
  REQUIRE_FALSE(read);
  INFO(read.error().message);
  CHECK(read.error().message.find("a chunk no blob can have") != std::string::npos);
}

TEST_CASE("presence: memory goes by the chunks that are there, not by their numbers") {
  PresenceEntry added[] = {{kMaxBlobChunks - 1, digest_of(1)}};
  auto read = decode_presence(joined(encode_presence({}), encode_entries(added)), "p");
  REQUIRE(read);
  CHECK(read->chunks == std::vector<PresenceEntry>(added, added + 1));
  CHECK(read->chunks.capacity() < 100);
}

TEST_CASE("presence: one of an older version, or not ours, is set aside") {
  Buffer file = encode_presence(some_presence());
  file[7] = '1';
  auto read = decode_presence(file, "p");
  REQUIRE_FALSE(read);
  CHECK(read.error().message == "p: byte 0: is no presence journal of this version");
}

TEST_CASE("presence: a journal that repeats itself is written anew") {
  Buffer file = encode_presence(some_presence());
  std::vector<PresenceEntry> again(kPresenceSlack + 100, {3, digest_of(3)});
  file = joined(file, encode_entries(again));
  auto read = decode_presence(file, "p");
  REQUIRE(read);
  CHECK_FALSE(read->extendable);
}

TEST_CASE("presence: a file is extended where it is") {
  Scratch scratch;
  std::string path = scratch.path() + "/presence";
  CHECK_FALSE(extend_presence(path, {}));  // never made by adding to it
  REQUIRE(write_presence(path, some_presence()));
  auto inode = [&] { return os::stat_of(os::open(path, O_RDONLY)->get(), path)->st_ino; };
  ino_t before = inode();
  PresenceEntry added[] = {{3, digest_of(3)}};
  REQUIRE(extend_presence(path, added));
  CHECK(inode() == before);
  auto read = load_presence(path);
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->chunks == some_presence(false, {0, 3, 7, 8, 18}).chunks);
}
