#include "mkfs/tar_pax.h"

#include <doctest/doctest.h>

#include "mkfs/tests/tar_archive.h"

using namespace mkfs;
using namespace mkfs::test;

namespace {

PaxFields fields_of(const std::string& records, PaxFields fields = {}) {
  Result<void> applied = apply_pax_header(as_bytes(records), fields);
  CAPTURE(applied ? "" : applied.error().message);
  REQUIRE(applied);
  return fields;
}
std::string error_of(const std::string& records) {
  PaxFields fields;
  Result<void> applied = apply_pax_header(as_bytes(records), fields);
  return applied ? "" : applied.error().message;
}

}  // namespace

TEST_CASE("pax: a value holds any byte") {
  std::string bytes;
  for (int byte = 0; byte < 256; byte++) bytes += static_cast<char>(byte);
  bytes += "\n9 path=x\n";
  PaxFields got = fields_of(record("SCHILY.xattr.user.a", bytes) + record("uid", "7"));
  CHECK(got.xattrs.at("user.a") == bytes);
  CHECK(got.uid == 7);
  CHECK_FALSE(got.path);
}

TEST_CASE("pax: errors name the byte of the record and the key") {
  CHECK(error_of(record("uid", "1") + "0 a=b\n") == "pax record at byte 8: length is 0");
  CHECK(error_of(record("uid", "x")) == "pax record at byte 0: uid: number \"x\" is not decimal");
}

TEST_CASE("pax: an empty value takes back what came before") {
  PaxFields global = fields_of(record("path", "p") + record("size", "9") + record("mtime", "1.5"));
  PaxFields got = fields_of(record("path", "") + record("size", "") + record("mtime", ""), global);
  CHECK_FALSE(got.path);
  CHECK_FALSE(got.size);
  CHECK_FALSE(got.mtime);
}

TEST_CASE("pax: an xattr may be empty, and GNU tar's coded names are decoded") {
  PaxFields got = fields_of(record("SCHILY.xattr.user.a", "") + record("SCHILY.xattr.user.%25%3D%41", "v"));
  CHECK(got.xattrs == Xattrs{{"user.a", ""}, {"user.%=%41", "v"}});
}

TEST_CASE("pax: libarchive's xattrs are base64, and the coded SCHILY twin is known") {
  PaxFields got =
      fields_of(record("LIBARCHIVE.xattr.user.a%20b", "AP8K") + record("SCHILY.xattr.user.a%20b", "x"));
  CHECK(got.xattrs.at("user.a b") == std::string("\0\xff\n", 3));
  CHECK(got.false_xattrs == std::vector<std::string>{"user.a%20b"});
  CHECK(fields_of(record("LIBARCHIVE.xattr.user.a", "YQ")).xattrs.at("user.a") == "a");
  CHECK(fields_of(record("LIBARCHIVE.xattr.user.a", "YWI=")).xattrs.at("user.a") == "ab");
}

TEST_CASE("pax: global headers hold for what follows, a local one for one member") {
  std::string global = member('g', "pax", record("uid", "77") + record("path", "all"));
  std::string archive = global + pax(record("path", "one")) + member('0', "a") + member('0', "b") +
                        member('g', "pax", record("path", "")) + member('0', "c") + end_mark();
  Read got = read_archive(archive);
  REQUIRE(got.error == "");
  REQUIRE(got.entries.size() == 3);
  CHECK(got.entries[0].path == "one");
  CHECK(got.entries[0].uid == 77);
  CHECK(got.entries[1].path == "all");
  CHECK(got.entries[2].path == "c");
  CHECK(got.entries[2].uid == 77);
}

TEST_CASE("pax: its size counts, not the header's") {
  std::string smuggled = member('0', "smuggled");
  Read got = read_archive(pax(record("size", "512")) + Header('0', "f", 0).bytes() + smuggled + end_mark());
  REQUIRE(got.error == "");
  REQUIRE(got.entries.size() == 1);
  CHECK(got.content[0] == smuggled);
}

TEST_CASE("pax: SELinux context is stored with its NUL, unless the xattr itself is there") {
  std::string context = record("RHT.security.selinux", "system_u:object_r:etc_t:s0");
  std::string raw = record("SCHILY.xattr.security.selinux", "raw");
  Read got =
      read_archive(pax(context) + member('0', "a") + pax(context + raw) + member('0', "b") + end_mark());
  REQUIRE(got.entries.size() == 2);
  CHECK(got.entries[0].xattrs.at("security.selinux") == std::string("system_u:object_r:etc_t:s0\0", 27));
  CHECK(got.entries[1].xattrs.at("security.selinux") == "raw");
}
