#include "erofs-format/base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace erofs_format {

namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ ((value & 1) ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}
constexpr auto kTable = make_table();

uint32_t update_portable(uint32_t state, ByteView bytes) {
  for (uint8_t byte : bytes) state = (state >> 8) ^ kTable[(state ^ byte) & 0xff];
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t update_sse42(uint32_t state, ByteView bytes) {
  uint64_t wide = state;
  while (bytes.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    wide = _mm_crc32_u64(wide, word);
    bytes = bytes.subspan(8);
  }
  state = static_cast<uint32_t>(wide);
  for (uint8_t byte : bytes) state = _mm_crc32_u8(state, byte);
  return state;
}
#endif

}  // namespace

uint32_t crc32c_update(uint32_t state, ByteView bytes) {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  if (hardware) return update_sse42(state, bytes);
#endif
  return update_portable(state, bytes);
}

}  // namespace erofs_format
