#include "mkfs/tar_acl.h"

#include <doctest/doctest.h>

#include "mkfs/tests/tar_archive.h"

using namespace mkfs;
using namespace mkfs::test;

namespace {

// What Linux stores for u::rw-,u:1000:rw-,g::r--,g:2000:r--,m::rw-,o::---
const std::string kStored(
    "\x02\x00\x00\x00"
    "\x01\x00\x06\x00\xff\xff\xff\xff"
    "\x02\x00\x06\x00\xe8\x03\x00\x00"
    "\x04\x00\x04\x00\xff\xff\xff\xff"
    "\x08\x00\x04\x00\xd0\x07\x00\x00"
    "\x10\x00\x06\x00\xff\xff\xff\xff"
    "\x20\x00\x00\x00\xff\xff\xff\xff",
    52);

std::string stored_of(std::string_view text) {
  Result<PosixAcl> acl = parse_acl_text(text);
  CAPTURE(acl ? "" : acl.error().message);
  REQUIRE(acl);
  return acl->xattr;
}

}  // namespace

TEST_CASE("ACL: every spelling gives the kernel's form") {
  CHECK(stored_of("user::rw-\nuser:1000:rw-\ngroup::r--\ngroup:2000:r--\nmask::rw-\nother::---\n") ==
        kStored);
  CHECK(stored_of("user::rw-,group::r--,other::---,user:lisa:rw-:1000,group:toolies:r--:2000,mask::rw-") ==
        kStored);
  CHECK(stored_of("u::rw,g:2000:r,u:1000:rw\t#effective:rw-\ng::r--,m:rw,o:---,# a comment") == kStored);
  CHECK(stored_of("default:user::rw-,default:user:1000:rw-,default:group::r--,default:group:2000:r--,"
                  "default:mask::rw-,default:other::---") == kStored);
  CHECK(parse_acl_xattr(kStored)->xattr == kStored);
}

TEST_CASE("ACL: permission bits of the file follow it") {
  CHECK(parse_acl_xattr(kStored)->mode == 0660);
  CHECK(parse_acl_xattr(kStored)->extended);
  CHECK(parse_acl_text("user::rwx,group::r-x,other::--x")->mode == 0751);
  CHECK_FALSE(parse_acl_text("user::rwx,group::r-x,other::--x")->extended);
}

TEST_CASE("ACL: root is 0 by name; unknown names are refused") {
  std::string rest = ",group::---,mask::---,other::---";
  CHECK(stored_of("user::---,user:root:---" + rest).substr(12, 8) ==
        std::string("\x02\x00\x00\x00\x00\x00\x00\x00", 8));
  CHECK_FALSE(parse_acl_text("user::---,user:no-such-name-here:---" + rest));
}

TEST_CASE("ACL: of a member, the mode is what it says when that is all; a default ACL is always kept") {
  std::string minimal = "user::rwx,group::r-x,other::---";
  std::string records = record("SCHILY.acl.access", minimal) + record("SCHILY.acl.default", minimal);
  Read got = read_archive(pax(records) + member('5', "d") + pax(records) + member('0', "f") + end_mark());
  REQUIRE(got.error == "");
  CHECK(got.entries[0].mode == (S_IFDIR | 0750));
  CHECK(got.entries[0].xattrs == Xattrs{{"system.posix_acl_default", stored_of(minimal)}});
  CHECK(got.entries[1].mode == (S_IFREG | 0750));
  CHECK(got.entries[1].xattrs.empty());
}

TEST_CASE("ACL: the xattr counts before the text, whose names may be unknown here") {
  std::string records = record("SCHILY.acl.access", "user::r--,user:no-such-name-here:r--") +
                        record("SCHILY.xattr.system.posix_acl_access", kStored);
  Read got = read_archive(pax(records) + member('0', "f") + end_mark());
  REQUIRE(got.error == "");
  CHECK(got.entries[0].mode == (S_IFREG | 0660));
  CHECK(got.entries[0].xattrs.at("system.posix_acl_access") == kStored);
}
