#include "mkfs/tar_sparse.h"

#include <doctest/doctest.h>

#include "mkfs/tests/tar_archive.h"

using namespace mkfs;
using namespace mkfs::test;

namespace {

// 10,000 bytes: "head" at 0, 1,000 x at 4,000, "tail" at the end.
std::string expected_content() {
  std::string content(10000, '\0');
  content.replace(0, 4, "head");
  content.replace(4000, 1000, 1000, 'x');
  content.replace(9996, 4, "tail");
  return content;
}
const std::string kStored = "head" + std::string(1000, 'x') + "tail";
const std::string kName = record("GNU.sparse.name", "s");

void check_content(const std::string& archive) {
  for (size_t step : {size_t{1}, size_t{700}, SIZE_MAX}) {
    Read got = read_archive(archive + member('0', "after", "!") + end_mark(), step);
    REQUIRE(got.error == "");
    REQUIRE(got.entries.size() == 2);
    CHECK(got.entries[0].path == "s");
    CHECK(got.entries[0].size == 10000);
    CHECK(got.content[0] == expected_content());
    CHECK(got.content[1] == "!");
  }
}

std::string descriptor(uint64_t offset, uint64_t size) {
  return fmt::format("{:011o}", offset) + '\0' + fmt::format("{:011o}", size) + '\0';
}

}  // namespace

TEST_CASE("sparse: pax 0.0") {
  std::string records = record("GNU.sparse.size", "10000") + record("GNU.sparse.numblocks", "3");
  for (auto [offset, size] : {std::pair{"0", "4"}, {"4000", "1000"}, {"9996", "4"}}) {
    records += record("GNU.sparse.offset", offset) + record("GNU.sparse.numbytes", size);
  }
  check_content(pax(records) + member('0', "s", kStored));
}

TEST_CASE("sparse: pax 0.1") {
  std::string records = record("GNU.sparse.map", "0,4,4000,1000,9996,4") + record("GNU.sparse.size", "10000");
  check_content(pax(records + kName) + member('0', "GNUSparseFile.1/s", kStored));
}

TEST_CASE("sparse: pax 1.0 has the map in front of the data") {
  std::string records = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
                        record("GNU.sparse.realsize", "10000") + kName;
  std::string map = padded("3\n0\n4\n4000\n1000\n9996\n4\n");
  check_content(pax(records) + member('0', "GNUSparseFile.1/s", map + kStored));
}

TEST_CASE("sparse: old GNU, with descriptors in further blocks") {
  Header header('S', "s", kStored.size(), Magic::gnu);
  set_field(header.block.gnu.sparse,
            descriptor(0, 4) + descriptor(4000, 500) + descriptor(4500, 100) + descriptor(4600, 300));
  set_field(header.block.gnu.real_size, fmt::format("{:011o}", 10000));
  header.block.gnu.is_extended = 1;
  TarSparseBlock more{};
  set_field(more.sparse, descriptor(4900, 100) + descriptor(9996, 4));
  check_content(header.bytes() + std::string(as_text(bytes_of(more))) + padded(kStored));
}

TEST_CASE("sparse: content not read is passed over, map and all") {
  std::string records = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
                        record("GNU.sparse.realsize", "10000") + kName;
  std::string archive = pax(records) + member('0', "s", padded("1\n0\n1008\n") + kStored) +
                        member('0', "after", "!") + end_mark();
  auto source = make_tar_source(std::make_unique<MemorySource>(archive), "t.tar");
  SourceEntry entry;
  REQUIRE(*(*source)->next(entry));
  REQUIRE(*(*source)->next(entry));
  CHECK(entry.path == "after");
  std::string error;
  CHECK(content_of(**source, error) == "!");
}

TEST_CASE("sparse: a map keeps its pieces in order and inside the file") {
  SparseMap map;
  map.size = 100;
  CHECK(map.add({10, 10}));
  CHECK(map.add({20, 0}));
  CHECK_FALSE(map.add({19, 5}));
  CHECK_FALSE(map.add({90, 11}));
  CHECK_FALSE(map.add({UINT64_MAX, 2}));
  CHECK(map.add({100, 0}));
  CHECK(map.validate(10));
  CHECK_FALSE(map.validate(11));
}
