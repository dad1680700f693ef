#include "erofs-format/base/blake3.h"

#include <algorithm>
#include <array>
#include <bit>

#include "erofs-format/base/blake3_impl.h"
#include "erofs-format/base/endian.h"

namespace erofs_format {

namespace blake3_impl {

namespace {

// Chunks whose chaining values are gathered before their parents are hashed; a power of two.
// With 256, the last few parents, too few to fill the lanes, are one in twenty; 8 KiB of stack.
constexpr size_t kGroupChunks = 256;

using Cv = std::array<uint8_t, kCvSize>;
using Kernels = std::span<const Kernel>;

// A vector takes the same time whether its lanes are filled or not.
const Kernel& kernel_for(Kernels with, size_t count) {
  size_t narrowest = 0;
  while (narrowest + 1 < with.size() && with[narrowest + 1].lanes >= count) narrowest++;
  return with[narrowest];
}

void hash_many(Kernels with, Inputs inputs, uint8_t* out) {
  for (size_t left = inputs.count; left > 0; left -= inputs.count) {
    const Kernel& kernel = kernel_for(with, left);
    inputs.count = std::min(left, kernel.lanes);
    kernel.hash(inputs, out);
    inputs.data += inputs.count * inputs.stride;
    inputs.counter += inputs.count * inputs.counter_step;
    out += inputs.count * kCvSize;
  }
}

// A chunk that is not whole, or the only one.
void hash_chunk(ByteView bytes, uint64_t counter, uint32_t root, uint8_t* out) {
  std::array<uint32_t, 8> cv = kIv;
  uint32_t flags = kChunkStart;
  do {
    size_t n = std::min(bytes.size(), kBlockSize);
    uint8_t block[kBlockSize] = {};
    if (n) std::memcpy(block, bytes.data(), n);
    bytes = bytes.subspan(n);
    if (bytes.empty()) flags |= kChunkEnd | root;
    compress(cv, block, static_cast<uint32_t>(n), counter, flags);
    flags = 0;
  } while (!bytes.empty());
  for (size_t i = 0; i < cv.size(); i++) reinterpret_cast<le32*>(out)[i] = cv[i];
}

// Neighbours become parents, level by level; an odd one moves up unchanged. That is
// the tree of the specification, whose left subtrees are full.
void reduce(Kernels with, Cv* cvs, size_t count, uint32_t root) {
  while (count > 1) {
    size_t parents = count / 2;
    Inputs inputs = {cvs->data(), parents, kBlockSize, 1, 0, 0, kParent | (count == 2 ? root : 0), 0, 0};
    std::array<Cv, kGroupChunks / 2> level;
    hash_many(with, inputs, level[0].data());
    if (count % 2) cvs[parents] = cvs[count - 1];
    std::copy_n(level.begin(), parents, cvs);
    count = parents + count % 2;
  }
}

void hash_group(Kernels with, ByteView bytes, uint64_t counter, uint32_t root, Cv* out) {
  std::array<Cv, kGroupChunks> cvs;
  size_t whole = bytes.size() / kChunkSize;
  Inputs inputs = {bytes.data(), whole,    kChunkSize, kChunkSize / kBlockSize, counter, 1, 0,
                   kChunkStart,  kChunkEnd};
  hash_many(with, inputs, cvs[0].data());
  ByteView rest = bytes.subspan(whole * kChunkSize);
  if (!rest.empty()) hash_chunk(rest, counter + whole, 0, cvs[whole].data());
  reduce(with, cvs.data(), whole + (rest.empty() ? 0 : 1), root);
  *out = cvs[0];
}

// The left subtree holds the largest power of two of chunks that leaves something for the right.
void hash_tree(Kernels with, ByteView bytes, uint64_t counter, uint32_t root, Cv* out) {
  if (bytes.size() <= kChunkSize) return hash_chunk(bytes, counter, root, out->data());
  if (bytes.size() <= kGroupChunks * kChunkSize) return hash_group(with, bytes, counter, root, out);
  size_t left = std::bit_floor((bytes.size() - 1) / kChunkSize);
  std::array<Cv, 2> cvs;
  hash_tree(with, bytes.first(left * kChunkSize), counter, 0, &cvs[0]);
  hash_tree(with, bytes.subspan(left * kChunkSize), counter + left, 0, &cvs[1]);
  reduce(with, cvs.data(), 2, root);
  *out = cvs[0];
}

struct Available {
  std::array<Kernel, 4> kernels;
  size_t count = 0;
  void add(bool supported, Kernel kernel) {
    if (supported) kernels[count++] = kernel;
  }
};

Available find_kernels() {
  Available available;
#if defined(__x86_64__)
  available.add(__builtin_cpu_supports("avx512f"), {"avx512", 16, hash_avx512});
  available.add(__builtin_cpu_supports("avx2"), {"avx2", 8, hash_avx2});
  available.add(__builtin_cpu_supports("sse4.1"), {"sse4.1", 4, hash_sse41});
#endif
  available.add(true, {"portable", 1, hash_portable});
  return available;
}

}  // namespace

std::span<const Kernel> kernels() {
  static const Available available = find_kernels();
  return {available.kernels.data(), available.count};
}

Digest hash(ByteView bytes, std::span<const Kernel> with) {
  Digest digest;
  hash_tree(with, bytes, 0, kRoot, &digest.bytes);
  return digest;
}

}  // namespace blake3_impl

Digest blake3(ByteView bytes) { return blake3_impl::hash(bytes, blake3_impl::kernels()); }

const char* blake3_implementation() { return blake3_impl::kernels().front().name; }

}  // namespace erofs_format
