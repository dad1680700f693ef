#include "mkfs/tar_number.h"

#include <doctest/doctest.h>

using namespace mkfs;

namespace {

int64_t number(std::string_view field) {
  Result<int64_t> value = parse_tar_number(as_bytes(field));
  REQUIRE(value);
  return *value;
}
bool refused(std::string_view field) { return !parse_tar_number(as_bytes(field)); }

std::pair<int64_t, uint32_t> pax_time(std::string_view text) {
  Result<TarTime> time = parse_pax_time(text);
  REQUIRE(time);
  return {time->seconds, time->nanoseconds};
}
using Time = std::pair<int64_t, uint32_t>;

}  // namespace

TEST_CASE("tar number: octal ends at NUL, space or the end of the field") {
  using namespace std::string_view_literals;
  CHECK(number("0000644\0"sv) == 0644);
  CHECK(number("  644 \0\0"sv) == 0644);
  CHECK(number("77777777"sv) == 077777777);
  CHECK(number("\0\0\0\0"sv) == 0);
  CHECK(number("\0"
               "644\0"sv) == 0644);
  CHECK(number("        "sv) == 0);
  CHECK(number("644\0junk"sv) == 0644);
  CHECK(refused("0000648\0"sv));
  CHECK(refused("-000001\0"sv));
  CHECK(refused("7777777777777777777777777"sv));
}

TEST_CASE("tar number: base-256 is two's complement behind the marker") {
  using namespace std::string_view_literals;
  CHECK(number("\x80\0\0\0\0\0\0\0\0\0\1\0"sv) == 256);
  CHECK(number("\xff\xff\xff\xff\xff\xff\xff\xff"sv) == -1);
  CHECK(number("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"sv) == INT64_MAX);
  CHECK(number("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0"sv) == INT64_MIN);
  CHECK(refused("\x80\0\0\0\x80\0\0\0\0\0\0\0"sv));
  CHECK(refused("\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff"sv));
  CHECK(refused("\x80\1\0\0\0\0\0\0\0\0\0\0"sv));
}

TEST_CASE("pax time: fractions count forward and are cut towards the past") {
  CHECK(pax_time("0") == Time{0, 0});
  CHECK(pax_time("1700000000.25") == Time{1700000000, 250000000});
  CHECK(pax_time("1.9999999999") == Time{1, 999999999});
  CHECK(pax_time("1.") == Time{1, 0});
  CHECK(pax_time("-1") == Time{-1, 0});
  CHECK(pax_time("-0.25") == Time{-1, 750000000});
  CHECK(pax_time("-1.5") == Time{-2, 500000000});
  CHECK(pax_time("-0.0000000001") == Time{-1, 999999999});
  CHECK(pax_time("-0.9999999999") == Time{-1, 0});
  for (auto text : {"", "-", ".", ".5", "1e5", "+1", " 1", "1.2.3", "--1", "9223372036854775808"}) {
    CHECK_FALSE(parse_pax_time(text));
  }
}

TEST_CASE("decimal: digits alone, up to the limit") {
  CHECK(*parse_decimal("18446744073709551615", UINT64_MAX) == UINT64_MAX);
  CHECK(parse_decimal("18446744073709551616", UINT64_MAX).error().code == Code::too_large);
  CHECK(parse_decimal("11", 10).error().code == Code::too_large);
  CHECK(parse_decimal("", 10).error().code == Code::corrupt);
  CHECK(parse_decimal("1 ", 10).error().code == Code::corrupt);
}
