// dm-verity's tree of hashes: format 1, SHA-256, no superblock, no salt.
#pragma once

#include <cstdint>
#include <string>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"

namespace mkfs {

using namespace erofs_format;

constexpr uint32_t kVerityHashBlock = 4096;

struct Verity {
  uint32_t data_block = 0;  // bytes
  uint64_t data_blocks = 0;
  uint64_t hash_offset = 0;  // byte where the tree begins, its highest level first
  Digest root;
};

// Reads the file's `size` bytes, a multiple of `data_block`, and appends the tree at the next multiple of
// kVerityHashBlock.
Result<Verity> append_verity(int fd, uint64_t size, uint32_t data_block, const std::string& name);

// What to give veritysetup, in one line.
std::string verity_options(const Verity& verity);

}  // namespace mkfs
