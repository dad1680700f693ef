// A byte stream that ends well only when it was what its digest says.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/stream.h"

namespace erofs_format {

// Passes `source` through. Its end is reported only if all bytes have this SHA-256 and, when given,
// this size; a longer stream fails at the first byte too many. Until then the bytes are
// unproven: whoever uses them must read to the end before publishing anything.
std::unique_ptr<ByteSource> make_verified_source(std::unique_ptr<ByteSource> source, const Digest& digest,
                                                 std::optional<uint64_t> size, std::string name);

// Reads what is left, so that a verified source gives its verdict.
Result<void> drain(ByteSource& source);

}  // namespace erofs_format
