#include <doctest/doctest.h>

#include "mkfs/tests/tar_archive.h"

using namespace mkfs;
using namespace mkfs::test;

TEST_CASE("tar: a file, a directory, links and devices") {
  std::string archive = member('5', "./") + member('0', "./a//b", "hello") +
                        Header('2', "l").link("/etc/passwd").bytes() + Header('1', "h").link("./a/b").bytes();
  Header device('3', "null");
  set_field(device.block.devmajor, "0000001");
  set_field(device.block.devminor, "0000003");
  Read got = read_archive(archive + device.bytes() + end_mark());
  REQUIRE(got.error == "");
  REQUIRE(got.entries.size() == 5);
  CHECK(got.entries[0].path == "");
  CHECK(got.entries[0].mode == (S_IFDIR | 0644));
  CHECK(got.entries[1].path == "a/b");
  CHECK(got.entries[1].uid == 1);
  CHECK(got.entries[1].gid == 2);
  CHECK(got.entries[1].mtime == 10);
  CHECK(got.content[1] == "hello");
  CHECK(got.entries[2].target == "/etc/passwd");
  CHECK(got.entries[3].hard_link_to == "a/b");
  CHECK(got.entries[4].rdev == 0x103);
}

TEST_CASE("tar: one byte a time gives the same") {
  std::string data(3000, 'x');
  Read got = read_archive(member('0', "f", data) + member('0', "g", "1") + end_mark(), 1);
  REQUIRE(got.entries.size() == 2);
  CHECK(got.content[0] == data);
  CHECK(got.content[1] == "1");
}

TEST_CASE("tar: GNU long names and pax paths") {
  std::string name(300, 'n');
  name[150] = '/';
  std::string gnu =
      member('L', "././@LongLink", name + '\0', Magic::gnu) + member('0', "cut", "1", Magic::gnu);
  std::string pax_path = pax(record("path", name + "2")) + member('0', "cut", "2");
  Read got = read_archive(gnu + pax_path + member('0', "plain", "3") + end_mark());
  REQUIRE(got.error == "");
  REQUIRE(got.entries.size() == 3);
  CHECK(got.entries[0].path == name);
  CHECK(got.entries[1].path == name + "2");
  CHECK(got.entries[2].path == "plain");
}

TEST_CASE("tar: an error names archive, entry, byte and reason") {
  CHECK(read_archive(member('0', "a") + member('0', "../x") + end_mark()).error ==
        "t.tar: entry ../x: header at byte 512: path holds \"..\"");
}
