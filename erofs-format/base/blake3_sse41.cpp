#include "erofs-format/base/blake3_impl.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("sse4.1"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("sse4.1")
#endif

#define BLAKE3_LANES 4
#include "erofs-format/base/blake3_lanes.h"

namespace erofs_format::blake3_impl {

void hash_sse41(const Inputs& inputs, uint8_t* out) { hash_lanes(inputs, out); }

}  // namespace erofs_format::blake3_impl

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
