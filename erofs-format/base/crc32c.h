// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78): chunk checksums of
// RAFS (with final inversion) and the EROFS superblock checksum (without).
#pragma once

#include <cstdint>

#include "erofs-format/base/bytes.h"

namespace erofs_format {

// Feeds bytes into a raw state; no initial or final inversion.
uint32_t crc32c_update(uint32_t state, ByteView bytes);
// The usual checksum ("123456789" gives 0xE3069283).
inline uint32_t crc32c(ByteView bytes) { return ~crc32c_update(0xffffffffu, bytes); }

}  // namespace erofs_format
