#include "mkfs/flat_disk.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <tuple>

namespace mkfs {

namespace {

// In the order in which they lie in the blobs, so that a batch is decoded once.
std::vector<ChunkId> in_blob_order(const Tree& tree) {
  std::vector<ChunkId> order(tree.chunks.size());
  std::iota(order.begin(), order.end(), 0);
  auto place = [&](ChunkId id) { return std::tie(tree.chunks[id].blob_index, tree.chunks[id].index); };
  std::sort(order.begin(), order.end(), [&](ChunkId a, ChunkId b) { return place(a) < place(b); });
  return order;
}

Result<uint64_t> disk_size(const Tree& tree, uint64_t bootstrap_size) {
  uint64_t size = bootstrap_size;
  for (const Blob& blob : tree.blobs) {
    if (blob.mapped_blkaddr == 0)
      return make_error(Code::unsupported, fmt::format("blob {}: has no place in a flat device", blob.id));
    size = std::max(size, uint64_t{blob.mapped_blkaddr} * tree.block_size + blob.uncompressed_size);
  }
  return size;
}

}  // namespace

Result<uint64_t> write_flat_disk(const Tree& tree, ByteView bootstrap, BlobReader& blobs, int fd,
                                 const std::string& name) {
  TRY_ASSIGN(uint64_t size, disk_size(tree, bootstrap.size()));
  TRY(os::pwrite_all(fd, 0, bootstrap, name));
  for (ChunkId id : in_blob_order(tree)) {
    const Chunk& chunk = tree.chunks[id];
    uint64_t start = uint64_t{tree.blobs[chunk.blob_index].mapped_blkaddr} * tree.block_size;
    TRY_ASSIGN(ByteView bytes, blobs.chunk(id));
    TRY(os::pwrite_all(fd, start + chunk.uncompressed_offset, bytes, name));
  }
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) return errno_error(name);
  return size;
}

}  // namespace mkfs
