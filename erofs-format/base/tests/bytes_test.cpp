#include "erofs-format/base/bytes.h"

#include <doctest/doctest.h>

#include "erofs-format/base/endian.h"

using namespace erofs_format;

TEST_CASE("printable escapes everything but printable ASCII") {
  CHECK(printable("a b") == "a b");
  CHECK(printable("\\\n\xff") == "\\x5c\\x0a\\xff");
}

TEST_CASE("structs_at refuses what does not lie inside") {
  Buffer bytes(16);
  CHECK(structs_at<le32>(bytes, 0, 4).size() == 4);
  CHECK(structs_at<le32>(bytes, 4, 4).empty());
  CHECK(structs_at<le32>(bytes, UINT64_MAX, 1).empty());
  CHECK(structs_at<le32>(bytes, 0, UINT64_MAX / 2).empty());
  CHECK(struct_at<le64>(bytes, 8) != nullptr);
  CHECK(struct_at<le64>(bytes, 9) == nullptr);
}
