#include "erofs-format/base/blake3_impl.h"

#if defined(__x86_64__)
#define BLAKE3_TARGET "avx2"
#define BLAKE3_LANES 8
#define BLAKE3_KERNEL hash_avx2
#include "erofs-format/base/blake3_lanes.h"
#endif
