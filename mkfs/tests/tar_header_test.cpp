#include "mkfs/tar_header.h"

#include <doctest/doctest.h>

#include <random>

#include "mkfs/tests/tar_archive.h"

using namespace mkfs;
using namespace mkfs::test;

namespace {

std::string cleaned(std::string_view raw) {
  Result<std::string> path = clean_path(raw);
  return path ? *path : "refused: " + path.error().message;
}

}  // namespace

TEST_CASE("tar path: cleaned, never above the root") {
  CHECK(cleaned("./a//b/./c/") == "a/b/c");
  CHECK(cleaned("/etc/passwd") == "etc/passwd");
  CHECK(cleaned("./") == "");
  CHECK(cleaned("///") == "");
  CHECK(cleaned("...") == "...");
  CHECK(cleaned("..a/b..") == "..a/b..");
  CHECK(cleaned("") == "refused: empty name");
  for (auto path : {"..", "../a", "a/..", "a/../b", "/..", "./.."}) {
    CHECK(cleaned(path) == "refused: path holds \"..\"");
  }
  CHECK(cleaned(std::string(255, 'n')).size() == 255);
  CHECK(clean_path(std::string(256, 'n')).error().code == Code::too_large);
}

TEST_CASE("tar header: checksums of signed and of unsigned bytes are accepted") {
  Header header('0', "\xff\xfe");
  std::string bytes = header.bytes();
  CHECK(verify_checksum(header.block));
  set_field(header.block.checksum, "        ");
  int sum = 0;
  for (uint8_t byte : bytes_of(header.block)) sum += static_cast<int8_t>(byte);
  set_field(header.block.checksum, fmt::format("{:06o}", sum));
  CHECK(verify_checksum(header.block));
  set_field(header.block.checksum, fmt::format("{:06o}", sum + 1));
  CHECK_FALSE(verify_checksum(header.block));
}

TEST_CASE("tar header: prefix is a path in ustar and something else in GNU archives") {
  Header ustar('0', "f");
  set_field(ustar.block.prefix, "p/q");
  CHECK(raw_name(ustar.block, {}) == "p/q/f");
  Header gnu('0', "f", 0, Magic::gnu);
  set_field(gnu.block.prefix, "00000000000");
  CHECK(raw_name(gnu.block, {}) == "f");
  Header old('0', "f", 0, Magic::v7);
  set_field(old.block.prefix, "junk");
  CHECK(raw_name(old.block, {}) == "f");
}

TEST_CASE("tar header: links, devices, directories and FIFOs have no data, whatever size they claim") {
  PaxFields pax_size;
  pax_size.size = 512;
  for (char type : {'1', '2', '3', '4', '5', '6'}) {
    CHECK(*stored_size(Header(type, "f", 1).block, {}) == 0);
    CHECK(*stored_size(Header(type, "f", 1).block, pax_size) == 0);
  }
  for (char type : {'0', '\0', '7', 'S', 'D'}) {
    CHECK(*stored_size(Header(type, "f", 1).block, {}) == 1);
    CHECK(*stored_size(Header(type, "f", 1).block, pax_size) == 512);
  }
  CHECK_FALSE(stored_size(Header('V', "f", 1).block, {}));
}

TEST_CASE("tar header: unknown types are refused by name") {
  CHECK(role_of(Header('Z', "f").block).error().message == "unknown type 'Z'");
  CHECK(role_of(Header('M', "f").block).error().code == Code::unsupported);
  for (char type : std::string_view("\0"
                                    "01234567SD",
                                    11))
    CHECK(*role_of(Header(type, "f").block) == TarRole::member);
}

// Whatever a header says, the entry stays inside the tree.
TEST_CASE("tar header: mutated headers give an entry or an error") {
  unsigned seed = 20260310;
  CAPTURE(seed);
  std::mt19937 random(seed);
  unsigned decoded = 0;
  for (int round = 0; round < 200000; round++) {
    Header header("0123456DS\0"[round % 10], "dir/../file", 100, round % 3 ? Magic::gnu : Magic::ustar);
    if (round % 2) set_field(header.block.name, "dir/file");
    header.link("target");
    auto* bytes = reinterpret_cast<uint8_t*>(&header.block);
    for (int i = static_cast<int>(random() % 4); i >= 0; i--)
      bytes[random() % 512] = static_cast<uint8_t>(random());
    Result<TarMember> got = decode_member(header.block, {});
    if (!got) continue;
    decoded++;
    REQUIRE(got->entry.path == *clean_path(got->entry.path.empty() ? "." : got->entry.path));
    REQUIRE(got->entry.target.size() <= kTarMaxSymlink);
    REQUIRE(got->stored_size <= INT64_MAX);
  }
  CHECK(decoded > 1000);
}
