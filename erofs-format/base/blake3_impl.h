// What lies below blake3(): one kernel per instruction set, all with the same meaning. Internal;
// the tests compare the kernels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "erofs-format/base/digest.h"

namespace erofs_format::blake3_impl {

constexpr size_t kBlockSize = 64;
constexpr size_t kChunkSize = 1024;
constexpr size_t kCvSize = 32;  // a chaining value: eight little-endian words
enum Flags : uint32_t { kChunkStart = 1, kChunkEnd = 2, kParent = 4, kRoot = 8 };

constexpr std::array<uint32_t, 8> kIv = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                         0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

// The message word that each of a round's sixteen additions takes, for all seven rounds.
using Schedule = std::array<std::array<uint8_t, 16>, 7>;
constexpr Schedule make_schedule() {
  constexpr uint8_t permutation[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
  Schedule schedule = {};
  for (uint8_t i = 0; i < 16; i++) schedule[0][i] = i;
  for (size_t round = 1; round < 7; round++)
    for (size_t i = 0; i < 16; i++) schedule[round][i] = schedule[round - 1][permutation[i]];
  return schedule;
}
inline constexpr Schedule kSchedule = make_schedule();

// Several inputs of `blocks` whole blocks each, `stride` bytes apart, that start from the IV: chunks
// (16 blocks, counters rising by one) or parents (one block, counter 0).
struct Inputs {
  const uint8_t* data;
  size_t count;
  size_t stride;
  size_t blocks;
  uint64_t counter;
  uint64_t counter_step;
  uint32_t flags;  // of every block
  uint32_t start;  // of the first block besides
  uint32_t end;    // of the last block besides
};

struct Kernel {
  const char* name;
  size_t lanes;
  // At most `lanes` inputs, at the cost of `lanes`; their chaining values go to `out`, one after another.
  void (*hash)(const Inputs& inputs, uint8_t* out);
};

// One block of the compression function, into the chaining value.
void compress(std::array<uint32_t, 8>& cv, const uint8_t* block, uint32_t length, uint64_t counter,
              uint32_t flags);

void hash_portable(const Inputs& inputs, uint8_t* out);
#if defined(__x86_64__)
void hash_sse41(const Inputs& inputs, uint8_t* out);
void hash_avx2(const Inputs& inputs, uint8_t* out);
void hash_avx512(const Inputs& inputs, uint8_t* out);
#endif

// What this processor can run, widest first; the last is portable.
std::span<const Kernel> kernels();
// The digest by kernels of a list like that: what does not fill the widest goes to the narrowest that takes
// it at once.
Digest hash(ByteView bytes, std::span<const Kernel> with);

}  // namespace erofs_format::blake3_impl
