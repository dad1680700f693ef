#include "fscached/object/presence.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "erofs-format/base/os.h"
#include "fscached/limits.h"
#include "fscached/tests/scratch.h"

using namespace fscached;

namespace {

constexpr size_t kHeader = 48, kEntry = 36, kLimit = 5000;

Digest digest_of(size_t chunk) { return sha256(as_bytes("chunk " + std::to_string(chunk))); }

Presence some_presence(bool clean = true, std::initializer_list<size_t> chunks = {0, 7, 8, 18}) {
  Presence presence;
  presence.clean = clean;
  presence.file_size = 81920;
  for (size_t i : chunks) {
    presence.digests.resize(i + 1);
    presence.digests[i] = digest_of(i);
  }
  return presence;
}

Buffer joined(Buffer file, const Buffer& more) {
  file.insert(file.end(), more.begin(), more.end());
  return file;
}

// What is left of `file` says nothing that was not written, and is not clean.
void check_rest(ByteView file, const Presence& written) {
  auto read = decode_presence(file, "p", kLimit);
  if (!read) return;
  CHECK_FALSE(read->clean);
  CHECK_FALSE(read->extendable);
  for (size_t i = 0; i < read->digests.size(); i++)
    if (!read->digests[i].is_zero()) CHECK(read->digests[i] == written.digests[i]);
}

}  // namespace

TEST_CASE("presence: what was written is read") {
  for (bool clean : {true, false}) {
    Presence presence = some_presence(clean);
    auto read = decode_presence(encode_presence(presence), "p", kLimit);
    REQUIRE(read);
    CHECK(read->clean == clean);
    CHECK(read->extendable);
    CHECK(read->file_size == presence.file_size);
    CHECK(read->digests == presence.digests);
  }
  auto empty = decode_presence(encode_presence({}), "p", kLimit);
  REQUIRE(empty);
  CHECK(empty->digests.empty());
}

TEST_CASE("presence: what was added is read, and ends that it is clean") {
  Buffer file = encode_presence(some_presence());
  PresenceEntry added[] = {{3, digest_of(3)}, {30, digest_of(30)}, {7, Digest{}}};
  auto read = decode_presence(joined(file, encode_entries(added)), "p", kLimit);
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->extendable);
  CHECK(read->digests == some_presence(false, {0, 3, 8, 18, 30}).digests);
  read = decode_presence(joined(file, encode_entries({})), "p", kLimit);
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->digests == some_presence().digests);
}

TEST_CASE("presence: more chunks than one record holds") {
  Presence presence;
  presence.clean = true;
  for (size_t i = 0; i < kPresenceRecordEntries + 1; i++) presence.digests.push_back(digest_of(i));
  Buffer whole = encode_presence(presence);
  auto read = decode_presence(whole, "p", kLimit);
  REQUIRE(read);
  CHECK(read->clean);
  CHECK(read->digests == presence.digests);
  // Without its last record, at whose end it is clean, it is not.
  read = decode_presence(ByteView(whole).first(whole.size() - 40 - kEntry), "p", kLimit);
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->digests.size() == kPresenceRecordEntries);
}

TEST_CASE("presence: cut anywhere, it says nothing wrong and is not clean") {
  Presence whole = some_presence();
  PresenceEntry added[] = {{3, digest_of(3)}};
  Buffer first = encode_presence(whole), file = joined(first, encode_entries(added));
  for (size_t size = 0; size < file.size(); size++) {
    if (size == first.size() || size == kHeader) continue;  // as if nothing more had been written
    check_rest(ByteView(file).first(size), some_presence(false, {0, 3, 7, 8, 18}));
  }
  auto torn = decode_presence(ByteView(file).first(file.size() - 1), "p", kLimit);
  REQUIRE(torn);
  CHECK(torn->digests == whole.digests);
}

TEST_CASE("presence: each flipped bit is found") {
  PresenceEntry added[] = {{3, digest_of(3)}};
  Buffer file = joined(encode_presence(some_presence()), encode_entries(added));
  for (size_t i = 0; i < file.size() * 8; i++) {
    file[i / 8] ^= static_cast<uint8_t>(1 << (i % 8));
    check_rest(file, some_presence(false, {0, 3, 7, 8, 18}));
    file[i / 8] ^= static_cast<uint8_t>(1 << (i % 8));
  }
  CHECK(decode_presence(file, "p", kLimit)->digests[3] == digest_of(3));
}

TEST_CASE("presence: chunks beyond what the caller knows take no memory") {
  PresenceEntry added[] = {{kLimit - 1, digest_of(1)}, {kLimit, digest_of(2)}, {~0u, digest_of(3)}};
  auto read = decode_presence(joined(encode_presence({}), encode_entries(added)), "p", kLimit);
  REQUIRE(read);
  CHECK(read->digests.size() == kLimit);
  CHECK(read->digests.back() == digest_of(1));
}

TEST_CASE("presence: one of an older version, or not ours, is set aside") {
  Buffer file = encode_presence(some_presence());
  file[7] = '1';
  auto read = decode_presence(file, "p", kLimit);
  REQUIRE_FALSE(read);
  CHECK(read.error().message == "p: byte 0: is no presence journal of this version");
}

TEST_CASE("presence: a journal that repeats itself is written anew") {
  Buffer file = encode_presence(some_presence());
  std::vector<PresenceEntry> again(kPresenceSlack + 100, {3, digest_of(3)});
  file = joined(file, encode_entries(again));
  auto read = decode_presence(file, "p", kLimit);
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
  auto read = load_presence(path, kLimit);
  REQUIRE(read);
  CHECK_FALSE(read->clean);
  CHECK(read->digests == some_presence(false, {0, 3, 7, 8, 18}).digests);
}
