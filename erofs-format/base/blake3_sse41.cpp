#include "erofs-format/base/blake3_impl.h"

#if defined(__x86_64__)
#define BLAKE3_TARGET "sse4.1"
#define BLAKE3_LANES 4
#define BLAKE3_KERNEL hash_sse41
#include "erofs-format/base/blake3_lanes.h"
#endif
