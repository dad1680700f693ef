#include "erofs-format/base/blake3.h"

#include <algorithm>
#include <array>
#include <bit>

#include "erofs-format/base/endian.h"

namespace erofs_format {

namespace {

constexpr size_t kBlockSize = 64;
constexpr size_t kChunkSize = 1024;
enum : uint32_t { kChunkStart = 1, kChunkEnd = 2, kParent = 4, kRoot = 8 };

constexpr std::array<uint32_t, 8> kIv = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                         0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
constexpr std::array<uint8_t, 16> kPermutation = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};

using Words = std::array<uint32_t, 8>;

void mix(std::array<uint32_t, 16>& v, size_t a, size_t b, size_t c, size_t d, uint32_t x, uint32_t y) {
  v[a] += v[b] + x;
  v[d] = std::rotr(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 12);
  v[a] += v[b] + y;
  v[d] = std::rotr(v[d] ^ v[a], 8);
  v[c] += v[d];
  v[b] = std::rotr(v[b] ^ v[c], 7);
}

Words compress(const Words& cv, const uint8_t* block, uint32_t length, uint64_t counter, uint32_t flags) {
  std::array<uint32_t, 16> m;
  for (size_t i = 0; i < 16; i++) m[i] = reinterpret_cast<const le32*>(block)[i];
  std::array<uint32_t, 16> v;
  std::copy(cv.begin(), cv.end(), v.begin());
  std::copy_n(kIv.begin(), 4, v.begin() + 8);
  v[12] = static_cast<uint32_t>(counter);
  v[13] = static_cast<uint32_t>(counter >> 32);
  v[14] = length;
  v[15] = flags;
  for (int round = 0; round < 7; round++) {
    for (size_t i = 0; i < 4; i++) mix(v, i, i + 4, i + 8, i + 12, m[2 * i], m[2 * i + 1]);
    for (size_t i = 0; i < 4; i++)
      mix(v, i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12, m[8 + 2 * i], m[9 + 2 * i]);
    std::array<uint32_t, 16> next;
    for (size_t i = 0; i < 16; i++) next[i] = m[kPermutation[i]];
    m = next;
  }
  Words out;
  for (size_t i = 0; i < 8; i++) out[i] = v[i] ^ v[i + 8];
  return out;
}

Words hash_chunk(ByteView bytes, uint64_t counter, uint32_t root) {
  Words cv = kIv;
  uint32_t flags = kChunkStart;
  do {
    size_t n = std::min(bytes.size(), kBlockSize);
    uint8_t block[kBlockSize] = {};
    if (n) std::memcpy(block, bytes.data(), n);
    bytes = bytes.subspan(n);
    if (bytes.empty()) flags |= kChunkEnd | root;
    cv = compress(cv, block, static_cast<uint32_t>(n), counter, flags);
    flags = 0;
  } while (!bytes.empty());
  return cv;
}

Words hash_parent(const Words& left, const Words& right, uint32_t root) {
  le32 block[16];
  for (size_t i = 0; i < 8; i++) {
    block[i] = left[i];
    block[8 + i] = right[i];
  }
  return compress(kIv, reinterpret_cast<const uint8_t*>(block), kBlockSize, 0, kParent | root);
}

// The left subtree holds the largest power of two of chunks that leaves something for the right.
Words hash_tree(ByteView bytes, uint64_t counter, uint32_t root) {
  if (bytes.size() <= kChunkSize) return hash_chunk(bytes, counter, root);
  size_t left = kChunkSize * std::bit_floor((bytes.size() - 1) / kChunkSize);
  return hash_parent(hash_tree(bytes.first(left), counter, 0),
                     hash_tree(bytes.subspan(left), counter + left / kChunkSize, 0), root);
}

}  // namespace

Digest blake3(ByteView bytes) {
  Words words = hash_tree(bytes, 0, kRoot);
  Digest digest;
  for (size_t i = 0; i < 8; i++) {
    le32 word(words[i]);
    std::memcpy(digest.bytes.data() + 4 * i, &word, 4);
  }
  return digest;
}

const char* blake3_implementation() { return "portable"; }

}  // namespace erofs_format
