// Numbers as tar headers and pax records write them.
#pragma once

#include <cstdint>
#include <string_view>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace mkfs {

using namespace erofs_format;

// A numeric header field: octal digits ended by NUL, space or the field's end, or base-256 (top bit
// of the first byte set, two's complement). A field of NULs or spaces alone is 0.
Result<int64_t> parse_tar_number(ByteView field);
// The same, but 0 <= value <= limit.
Result<uint64_t> parse_tar_unsigned(ByteView field, uint64_t limit);

// Decimal digits only, at most `limit`.
Result<uint64_t> parse_decimal(std::string_view text, uint64_t limit);

struct TarTime {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;  // always counts forward: -0.25 is {-1, 750000000}
};

// "[-]seconds[.fraction]"; digits finer than a nanosecond round towards the past, as GNU tar does.
Result<TarTime> parse_pax_time(std::string_view text);

}  // namespace mkfs
