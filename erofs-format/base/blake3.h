// BLAKE3-256, unkeyed (source: the BLAKE3 paper, "one function, fast everywhere").
// One-shot: a chunk is always whole in memory when it is hashed.
#pragma once

#include "erofs-format/base/digest.h"

namespace erofs_format {

Digest blake3(ByteView bytes);

// The instruction set blake3() uses on this processor: "avx512", "avx2", "sse4.1" or "portable".
const char* blake3_implementation();

}  // namespace erofs_format
