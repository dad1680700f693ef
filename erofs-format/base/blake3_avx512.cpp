#include "erofs-format/base/blake3_impl.h"

#if defined(__x86_64__)
#define BLAKE3_TARGET "avx512f"
#define BLAKE3_LANES 16
#define BLAKE3_KERNEL hash_avx512
#include "erofs-format/base/blake3_lanes.h"
#endif
