#include "mkfs/verity.h"

#include <fmt/format.h>

#include <vector>

#include "erofs-format/base/checked.h"
#include "erofs-format/base/os.h"

namespace mkfs {

namespace {

constexpr size_t kReadSize = size_t{1} << 20;  // a multiple of both kinds of block

// The digests of all blocks, filled up to whole hash blocks with zeros.
void add_digests(ByteView bytes, size_t block, Buffer& level) {
  for (size_t at = 0; at < bytes.size(); at += block)
    append(level, ByteView(sha256(bytes.subspan(at, block)).bytes));
}

void fill_up(Buffer& level) { level.resize(align_up(level.size(), kVerityHashBlock)); }

Result<Buffer> lowest_level(int fd, uint64_t size, uint32_t block, const std::string& name) {
  Buffer level, room(kReadSize);
  level.reserve(align_up(size / block * sizeof(Digest), kVerityHashBlock));
  for (uint64_t at = 0; at < size; at += kReadSize) {
    MutableBytes piece = MutableBytes(room).first(std::min<uint64_t>(kReadSize, size - at));
    TRY(os::pread_exact(fd, at, piece, name));
    add_digests(piece, block, level);
  }
  return level;
}

}  // namespace

Result<Verity> append_verity(int fd, uint64_t size, uint32_t data_block, const std::string& name) {
  Verity verity = {data_block, size / data_block, align_up(size, kVerityHashBlock), {}};
  std::vector<Buffer> levels(1);
  TRY_ASSIGN(levels[0], lowest_level(fd, size, data_block, name));
  while (levels.back().size() > sizeof(Digest)) {
    fill_up(levels.back());
    Buffer above;
    add_digests(levels.back(), kVerityHashBlock, above);
    levels.push_back(std::move(above));
  }
  // One digest alone is the root, and stands in no block.
  std::memcpy(verity.root.bytes.data(), levels.back().data(), sizeof(Digest));
  levels.pop_back();
  uint64_t at = verity.hash_offset;
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    TRY(os::pwrite_all(fd, at, *level, name));
    at += level->size();
  }
  return verity;
}

std::string verity_options(const Verity& verity) {
  return fmt::format(
      "dm-verity options: --no-superblock --format=1 -s \"\" --hash=sha256 --data-block-size={} "
      "--hash-block-size={} "
      "--data-blocks {} --hash-offset {} {}",
      verity.data_block, kVerityHashBlock, verity.data_blocks, verity.hash_offset, to_hex(verity.root));
}

}  // namespace mkfs
