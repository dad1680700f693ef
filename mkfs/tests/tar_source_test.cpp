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

TEST_CASE("tar: xattrs of other systems are left out") {
  std::string records = record("SCHILY.xattr.com.apple.quarantine", "q") + record("SCHILY.xattr.user.a", "v");
  Read got = read_archive(pax(records) + member('0', "f") + end_mark());
  REQUIRE(got.entries.size() == 1);
  CHECK(got.entries[0].xattrs == Xattrs{{"user.a", "v"}});
}

// Counts what is read after the end mark, as the writer into a FIFO would.
TEST_CASE("tar: the input is read to its end") {
  struct Counting : MemorySource {
    Counting(std::string bytes, size_t* total) : MemorySource(std::move(bytes)), total_(total) {}
    Result<size_t> read(MutableBytes into) override {
      TRY_ASSIGN(size_t got, MemorySource::read(into));
      *total_ += got;
      return got;
    }
    size_t* total_;
  };
  std::string archive = member('0', "f") + end_mark() + std::string(1'000'000, 'x');
  size_t total = 0;
  auto source = make_tar_source(std::make_unique<Counting>(archive, &total), "t.tar");
  SourceEntry entry;
  CHECK(*(*source)->next(entry));
  CHECK_FALSE(*(*source)->next(entry));
  CHECK(total == archive.size());
  CHECK_FALSE(*(*source)->next(entry));
}

TEST_CASE("tar: an archive that ends too early is an error wherever it is cut") {
  std::string name(701, 'n');
  for (size_t i = 1; i < name.size(); i += 2) name[i] = '/';
  std::string long_part = member('L', "././@LongLink", name + '\0', Magic::gnu);
  std::string archive = pax(record("SCHILY.xattr.user.a", std::string(600, 'v'))) + long_part +
                        member('0', "f", std::string(1500, 'x'), Magic::gnu);
  std::string with_next = archive + member('0', "g", "1");
  size_t whole = 0;
  for (size_t cut = 0; cut <= archive.size(); cut += 64) {
    CAPTURE(cut);
    Read got = read_archive(with_next.substr(0, cut));
    whole += got.error.empty();
    CHECK(got.error.empty() == (cut == 0 || cut == archive.size()));
  }
  CHECK(whole == 2);
}
