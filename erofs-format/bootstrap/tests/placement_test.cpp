#include "erofs-format/bootstrap/placement.h"

#include <doctest/doctest.h>

using erofs_format::Placement;

// The worked allocations of the reference builder, with its 32-byte inodes.
TEST_CASE("directories are placed as the reference places them") {
  Placement placement(4096);
  auto place = placement.place_with_data(32, 4064);
  CHECK(place.inode == 4096);
  CHECK(place.inlined);
  place = placement.place_with_data(32, 4096);
  CHECK(place.inode == 8192);
  CHECK(place.data == 12288);
  CHECK_FALSE(place.inlined);
}

TEST_CASE("an inlined tail never crosses a block") {
  Placement placement(4096);
  for (uint64_t data = 1; data < 9000; data += 37) {
    auto place = placement.place_with_data(64, data);
    if (!place.inlined) continue;
    uint64_t tail = data % 4096;
    CHECK((place.inode + 64) / 4096 == (place.inode + 64 + tail - 1) / 4096);
    CHECK(place.inode % 32 == 0);
  }
}
