// The kernel over vectors: lane i of every vector belongs to input i. Included once each by
// blake3_sse41.cpp, blake3_avx2.cpp and blake3_avx512.cpp, which define BLAKE3_TARGET (what all
// of this is compiled for), BLAKE3_LANES and BLAKE3_KERNEL (its name); so there is no include guard, and
// nothing here is a template.
//
// The vectors are those of GCC and clang; a little-endian machine is implied by the targets.

#define BLAKE3_PRAGMA(text) _Pragma(#text)
#define BLAKE3_COMPILE_FOR(target) BLAKE3_COMPILE_FOR_(target)
#if defined(__clang__)
#define BLAKE3_COMPILE_FOR_(name) \
  BLAKE3_PRAGMA(clang attribute push(__attribute__((target(name))), apply_to = function))
#else
#define BLAKE3_COMPILE_FOR_(name) BLAKE3_PRAGMA(GCC target(name))
#endif
BLAKE3_COMPILE_FOR(BLAKE3_TARGET)

namespace erofs_format::blake3_impl {

namespace {

constexpr size_t kLanes = BLAKE3_LANES;
typedef uint32_t Lanes __attribute__((vector_size(4 * BLAKE3_LANES)));

#define BLAKE3_INLINE inline __attribute__((always_inline))

BLAKE3_INLINE void load(Lanes& to, const uint8_t* from) { __builtin_memcpy(&to, from, sizeof(to)); }

BLAKE3_INLINE void rotate(Lanes& x, int by) { x = (x >> by) | (x << (32 - by)); }

BLAKE3_INLINE void mix(Lanes& a, Lanes& b, Lanes& c, Lanes& d, const Lanes& x, const Lanes& y) {
  a += b + x;
  d ^= a;
  rotate(d, 16);
  c += d;
  b ^= c;
  rotate(b, 12);
  a += b + y;
  d ^= a;
  rotate(d, 8);
  c += d;
  b ^= c;
  rotate(b, 7);
}

BLAKE3_INLINE void round(Lanes* v, const Lanes* m, const std::array<uint8_t, 16>& s) {
  mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
  mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
  mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
  mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
  mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
  mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
  mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
  mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
}

BLAKE3_INLINE void interleave(const Lanes& a, const Lanes& b, Lanes& low, Lanes& high) {
#if BLAKE3_LANES == 4
  low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
#elif BLAKE3_LANES == 8
  low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  high = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  low = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  high = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#endif
}

// One pass of a perfect shuffle of the rows; log2(kLanes) passes transpose.
BLAKE3_INLINE void shuffle_rows(const Lanes* from, Lanes* to) {
#pragma GCC unroll 8
  for (size_t i = 0; i < kLanes / 2; i++) interleave(from[i], from[i + kLanes / 2], to[2 * i], to[2 * i + 1]);
}

// kLanes words from each input become kLanes vectors, one for each word.
BLAKE3_INLINE void load_transposed(const uint8_t* const* data, size_t offset, Lanes* words) {
  Lanes rows[kLanes];
#pragma GCC unroll 16
  for (size_t i = 0; i < kLanes; i++) load(rows[i], data[i] + offset);
#if BLAKE3_LANES == 8
  Lanes other[kLanes];
  shuffle_rows(rows, other);
  shuffle_rows(other, rows);
  shuffle_rows(rows, words);
#else
  shuffle_rows(rows, words);
  shuffle_rows(words, rows);
#if BLAKE3_LANES == 16
  shuffle_rows(rows, words);
  shuffle_rows(words, rows);
#endif
#pragma GCC unroll 16
  for (size_t i = 0; i < kLanes; i++) words[i] = rows[i];
#endif
}

BLAKE3_INLINE void load_message(const uint8_t* const* data, size_t offset, Lanes* m) {
#pragma GCC unroll 4
  for (size_t word = 0; word < 16; word += kLanes) load_transposed(data, offset + 4 * word, m + word);
}

BLAKE3_INLINE void compress_lanes(Lanes* cv, const Lanes* m, const Lanes& low, const Lanes& high,
                                  uint32_t flags) {
  const Lanes zero = {};
  Lanes v[16] = {cv[0],         cv[1],         cv[2], cv[3],         cv[4],
                 cv[5],         cv[6],         cv[7], zero + kIv[0], zero + kIv[1],
                 zero + kIv[2], zero + kIv[3], low,   high,          zero + static_cast<uint32_t>(kBlockSize),
                 zero + flags};
  round(v, m, kSchedule[0]);
  round(v, m, kSchedule[1]);
  round(v, m, kSchedule[2]);
  round(v, m, kSchedule[3]);
  round(v, m, kSchedule[4]);
  round(v, m, kSchedule[5]);
  round(v, m, kSchedule[6]);
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; i++) cv[i] = v[i] ^ v[i + 8];
}

BLAKE3_INLINE void store_transposed(const Lanes* cv, size_t count, uint8_t* out) {
  uint32_t words[8][kLanes];
  __builtin_memcpy(words, cv, sizeof(words));
  for (size_t lane = 0; lane < count; lane++)
    for (size_t word = 0; word < 8; word++)
      __builtin_memcpy(out + lane * kCvSize + 4 * word, &words[word][lane], 4);
}

}  // namespace

void BLAKE3_KERNEL(const Inputs& inputs, uint8_t* out) {
  const Lanes zero = {};
  Lanes cv[8];
  for (size_t i = 0; i < 8; i++) cv[i] = zero + kIv[i];
  Lanes low = zero;
  Lanes high = zero;
  const uint8_t* data[kLanes];
  for (size_t i = 0; i < kLanes; i++) {
    // Lanes without an input of their own repeat the last one.
    data[i] = inputs.data + (i < inputs.count ? i : inputs.count - 1) * inputs.stride;
    uint64_t counter = inputs.counter + i * inputs.counter_step;
    low[i] = static_cast<uint32_t>(counter);
    high[i] = static_cast<uint32_t>(counter >> 32);
  }
  for (size_t block = 0; block < inputs.blocks; block++) {
    uint32_t flags =
        inputs.flags | (block == 0 ? inputs.start : 0) | (block + 1 == inputs.blocks ? inputs.end : 0);
    Lanes m[16];
    load_message(data, block * kBlockSize, m);
    compress_lanes(cv, m, low, high, flags);
  }
  store_transposed(cv, inputs.count, out);
}

}  // namespace erofs_format::blake3_impl

#if defined(__clang__)
#pragma clang attribute pop
#endif
