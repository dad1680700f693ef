#include <algorithm>
#include <bit>

#include "erofs-format/base/blake3_impl.h"
#include "erofs-format/base/endian.h"

namespace erofs_format::blake3_impl {

namespace {

using State = std::array<uint32_t, 16>;

inline void mix(State& v, size_t a, size_t b, size_t c, size_t d, uint32_t x, uint32_t y) {
  v[a] += v[b] + x;
  v[d] = std::rotr(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 12);
  v[a] += v[b] + y;
  v[d] = std::rotr(v[d] ^ v[a], 8);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 7);
}

}  // namespace

void compress(std::array<uint32_t, 8>& cv, const uint8_t* block, uint32_t length, uint64_t counter,
              uint32_t flags) {
  State m;
  for (size_t i = 0; i < 16; i++) m[i] = reinterpret_cast<const le32*>(block)[i];
  State v = {cv[0], cv[1], cv[2], cv[3], cv[4], cv[5], cv[6], cv[7], kIv[0], kIv[1], kIv[2], kIv[3]};
  v[12] = static_cast<uint32_t>(counter);
  v[13] = static_cast<uint32_t>(counter >> 32);
  v[14] = length;
  v[15] = flags;
  for (const auto& s : kSchedule) {
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
  }
  for (size_t i = 0; i < 8; i++) cv[i] = v[i] ^ v[i + 8];
}

void hash_portable(const Inputs& inputs, uint8_t* out) {
  std::array<uint32_t, 8> cv = kIv;
  for (size_t block = 0; block < inputs.blocks; block++) {
    uint32_t flags =
        inputs.flags | (block == 0 ? inputs.start : 0) | (block + 1 == inputs.blocks ? inputs.end : 0);
    compress(cv, inputs.data + block * kBlockSize, kBlockSize, inputs.counter, flags);
  }
  for (size_t i = 0; i < 8; i++) reinterpret_cast<le32*>(out)[i] = cv[i];
}

}  // namespace erofs_format::blake3_impl
