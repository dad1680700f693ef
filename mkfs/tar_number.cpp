#include "mkfs/tar_number.h"

#include <fmt/format.h>

#include "erofs-format/base/checked.h"

namespace mkfs {
namespace {

constexpr uint8_t kBase256Bit = 0x80;
constexpr uint8_t kBase256Sign = 0x40;

Error bad_number(std::string_view text, std::string_view why) {
  return make_error(Code::corrupt, fmt::format("number \"{}\" {}", printable(text.substr(0, 32)), why));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Result<int64_t> parse_base256(ByteView field) {
  bool negative = (field[0] & kBase256Sign) != 0;
  // The first byte has six bits of value below the marker and the sign.
  int64_t value = negative ? int64_t{field[0]} - 0x100 : int64_t{field[0]} - kBase256Bit;
  for (uint8_t byte : field.subspan(1)) {
    if (!checked_mul<int64_t>(value, 256, &value) || !checked_add<int64_t>(value, byte, &value)) {
      return bad_number(as_text(field), "does not fit into 64 bits");
    }
  }
  return value;
}

Result<int64_t> parse_octal(std::string_view text) {
  std::string_view rest = text;
  // Some writers put a NUL first, many put spaces.
  if (!rest.empty() && rest[0] == '\0') rest.remove_prefix(1);
  while (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
  int64_t value = 0;
  while (!rest.empty() && rest[0] >= '0' && rest[0] <= '7') {
    if (!checked_mul<int64_t>(value, 8, &value)) return bad_number(text, "does not fit into 64 bits");
    value += rest[0] - '0';
    rest.remove_prefix(1);
  }
  if (!rest.empty() && rest[0] != '\0' && rest[0] != ' ') return bad_number(text, "is not octal");
  return value;
}

// Nanoseconds of the digits after the point; *inexact when finer digits are lost.
Result<uint32_t> parse_fraction(std::string_view digits, bool* inexact) {
  uint32_t value = 0;
  for (size_t i = 0; i < digits.size(); i++) {
    if (!is_digit(digits[i])) return bad_number(digits, "is not decimal");
    if (i < 9) value = value * 10 + static_cast<uint32_t>(digits[i] - '0');
    if (i >= 9 && digits[i] != '0') *inexact = true;
  }
  for (size_t i = digits.size(); i < 9; i++) value *= 10;
  return value;
}

// -(seconds + nanoseconds) with nanoseconds counting forward.
TarTime negated(int64_t seconds, uint32_t nanoseconds, bool inexact) {
  constexpr uint32_t kSecond = 1'000'000'000;
  uint32_t back = nanoseconds + (inexact ? 1 : 0);
  if (back == 0) return {-seconds, 0};
  return {-seconds - 1, kSecond - back};
}

}  // namespace

Result<int64_t> parse_tar_number(ByteView field) {
  if (field.empty()) return int64_t{0};
  if (field[0] & kBase256Bit) return parse_base256(field);
  return parse_octal(as_text(field));
}

Result<uint64_t> parse_tar_unsigned(ByteView field, uint64_t limit) {
  TRY_ASSIGN(int64_t value, parse_tar_number(field));
  if (value < 0) return make_error(Code::corrupt, fmt::format("number {} is negative", value));
  if (static_cast<uint64_t>(value) > limit) {
    return make_error(Code::too_large, fmt::format("number {} is above {}", value, limit));
  }
  return static_cast<uint64_t>(value);
}

Result<uint64_t> parse_decimal(std::string_view text, uint64_t limit) {
  if (text.empty()) return bad_number(text, "is empty");
  uint64_t value = 0;
  for (char c : text) {
    if (!is_digit(c)) return bad_number(text, "is not decimal");
    if (!checked_mul<uint64_t>(value, 10, &value) ||
        !checked_add<uint64_t>(value, static_cast<uint64_t>(c - '0'), &value) || value > limit) {
      return make_error(Code::too_large,
                        fmt::format("number {} is above {}", printable(text.substr(0, 32)), limit));
    }
  }
  return value;
}

Result<TarTime> parse_pax_time(std::string_view text) {
  bool negative = !text.empty() && text[0] == '-';
  std::string_view number = text.substr(negative ? 1 : 0);
  size_t point = number.find('.');
  TRY_ASSIGN(uint64_t seconds, parse_decimal(number.substr(0, point), INT64_MAX - 1));
  uint32_t nanoseconds = 0;
  bool inexact = false;
  if (point != std::string_view::npos) {
    TRY_ASSIGN(nanoseconds, parse_fraction(number.substr(point + 1), &inexact));
  }
  if (negative) return negated(static_cast<int64_t>(seconds), nanoseconds, inexact);
  return TarTime{static_cast<int64_t>(seconds), nanoseconds};
}

}  // namespace mkfs
