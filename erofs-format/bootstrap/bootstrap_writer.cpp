#include "erofs-format/bootstrap/bootstrap_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <span>

#include "erofs-format/base/os.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/bootstrap/encoding.h"
#include "erofs-format/bootstrap/layout.h"
#include "erofs-format/ondisk/erofs.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

namespace {

using namespace ondisk;

// Chunks whose memory is freed together: some hundred pages.
constexpr size_t kFreedAtOnce = 16384;
static_assert(std::is_trivially_destructible_v<Chunk>);

uint64_t compressor_flag(Compressor compressor) {
  switch (compressor) {
    case Compressor::none: return kRafsCompressNone;
    case Compressor::lz4_block: return kRafsCompressLz4;
    case Compressor::gzip: return kRafsCompressGzip;
    case Compressor::zstd: return kRafsCompressZstd;
  }
  return kRafsCompressNone;
}

class BootstrapWriter {
 public:
  BootstrapWriter(Tree& tree, Keep keep, Layout layout)
      : tree_(tree),
        keep_(keep),
        layout_(std::move(layout)),
        written_(layout_.chunk_table_offset / kSlotSize) {}
  Result<Buffer> write();

 private:
  template <typename T>
  Result<void> put(uint64_t offset, const T& object) {
    return put_bytes(offset, bytes_of(object));
  }
  Result<void> put_bytes(uint64_t offset, ByteView bytes);
  Result<void> claim(uint64_t offset, uint64_t size, InodeId id);

  Result<void> write_superblocks();
  Result<void> write_blobs();
  Result<void> write_prefetch();
  Result<void> write_inode(InodeId id);
  Result<void> write_flat(InodeId id, uint64_t after_inode, ByteView data);
  Result<void> write_chunk_index(const Inode& inode, uint64_t after_inode);
  Result<void> write_chunk_table();
  void end_inodes();
  void sort_chunks();
  erofs_inode_extended encode_inode(InodeId id) const;
  Buffer encode_directory(InodeId id) const;
  uint64_t flags() const;
  uint64_t nid(InodeId id) const { return (layout_.inodes[id].offset - layout_.meta_offset) / kSlotSize; }

  Tree& tree_;
  Keep keep_;
  Layout layout_;
  Buffer out_;
  std::vector<bool> written_;  // 32-byte slots that belong to an inode already
};

Result<void> BootstrapWriter::put_bytes(uint64_t offset, ByteView bytes) {
  if (!in_range(offset, bytes.size(), out_.size()))
    return make_error(Code::internal, fmt::format("bootstrap: byte {} lies outside the layout", offset));
  if (!bytes.empty()) std::memcpy(out_.data() + offset, bytes.data(), bytes.size());
  return {};
}

// The proof of pass one: no two inodes share a slot, all lie in the metadata area.
Result<void> BootstrapWriter::claim(uint64_t offset, uint64_t size, InodeId id) {
  if (offset < layout_.meta_offset + tree_.block_size || !in_range(offset, size, layout_.chunk_table_offset))
    return make_error(Code::internal, fmt::format("bootstrap: inode {} lies outside the metadata area", id));
  for (uint64_t slot = offset / kSlotSize; slot < div_up(offset + size, kSlotSize); slot++) {
    if (written_[slot])
      return make_error(Code::internal, fmt::format("bootstrap: inode {} overlaps at byte {}", id, offset));
    written_[slot] = true;
  }
  return {};
}

uint64_t BootstrapWriter::flags() const {
  uint64_t flags = compressor_flag(tree_.compressor);
  flags |= tree_.digester == Digester::sha256 ? kRafsDigestSha256 : kRafsDigestBlake3;
  if (tree_.explicit_uid_gid) flags |= kRafsExplicitUidGid;
  bool digests = true;
  bool encrypted = false;
  for (const auto& blob : tree_.blobs) {
    digests &= blob.has(kBlobInlinedChunkDigest);
    encrypted |= blob.encrypted;
  }
  if (tree_.block_size == 512) {
    flags |= kRafsTarfs;
    digests = false;
  }
  if (digests) flags |= kRafsInlinedChunkDigest;
  flags |= encrypted ? kRafsEncryptionAes128Xts : kRafsEncryptionNone;
  for (const auto& inode : tree_.inodes)
    if (xattr_body_size(inode) != 0) return flags | kRafsHasXattr;
  return flags;
}

Result<void> BootstrapWriter::write_superblocks() {
  uint64_t blocks = 0;
  for (const auto& blob : tree_.blobs) blocks += blob.uncompressed_size / tree_.block_size;
  erofs_super_block super = {};
  super.magic = kSuperMagic;
  super.feature_compat = kCompatRafsV6;
  super.blkszbits = static_cast<uint8_t>(std::countr_zero(tree_.block_size));
  super.root_nid = narrow<uint16_t>(nid(kRootInode));
  super.inos = layout_.name_count;
  super.blocks = narrow<uint32_t>(blocks);
  super.meta_blkaddr = narrow<uint32_t>(layout_.meta_offset / tree_.block_size);
  super.feature_incompat = kIncompatChunkedFile | kIncompatDeviceTable;
  super.extra_devices = narrow<uint16_t>(tree_.blobs.size());
  super.devt_slotoff = kRafsDeviceSlotOffset;
  TRY(put(kSuperOffset, super));

  rafs_v6_super_block_ext ext = {};
  ext.flags = flags();
  ext.blob_table_offset = layout_.blob_table_offset;
  ext.blob_table_size = narrow<uint32_t>(tree_.blobs.size() * sizeof(rafs_v6_blob));
  ext.chunk_size = tree_.chunk_size;
  ext.chunk_table_offset = layout_.chunk_table_offset;
  ext.chunk_table_size = layout_.chunk_table.size() * sizeof(rafs_chunk_info);
  ext.prefetch_table_offset = layout_.prefetch_table_offset;
  if (layout_.prefetch_table_offset != 0)
    ext.prefetch_table_size = narrow<uint32_t>(tree_.prefetch.size() * sizeof(le32));
  return put(kRafsSuperExtOffset, ext);
}

rafs_v6_blob encode_blob(const Blob& blob, uint32_t index) {
  rafs_v6_blob out = {};
  std::memcpy(out.blob_id, blob.id.data(), std::min(blob.id.size(), sizeof out.blob_id));
  out.blob_index = index;
  out.chunk_size = blob.chunk_size;
  out.chunk_count = blob.chunk_count;
  out.compressor = static_cast<uint32_t>(blob.compressor);
  out.digester = static_cast<uint32_t>(blob.digester);
  out.features = blob.features;
  out.compressed_size = blob.compressed_size;
  out.uncompressed_size = blob.uncompressed_size;
  out.blob_toc_size = blob.toc_size;
  out.ci_compressor = blob.ci_compressor;
  out.ci_offset = blob.ci_offset;
  out.ci_compressed_size = blob.ci_compressed_size;
  out.ci_uncompressed_size = blob.ci_uncompressed_size;
  std::memcpy(out.blob_toc_digest, blob.toc_digest.bytes.data(), 32);
  if (!blob.encrypted) {
    std::memcpy(out.blob_meta_digest, blob.meta_digest.bytes.data(), 32);
    out.blob_meta_size = blob.meta_size;
    return out;
  }
  std::memcpy(out.blob_meta_digest, blob.key.key.data(), 32);
  std::memcpy(&out.blob_meta_size, blob.key.iv.data(), 8);
  std::memcpy(&out.cipher_iv, blob.key.iv.data() + 8, 8);
  out.cipher_algo = 1;
  return out;
}

Result<void> BootstrapWriter::write_blobs() {
  for (uint32_t i = 0; i < tree_.blobs.size(); i++) {
    const Blob& blob = tree_.blobs[i];
    erofs_deviceslot slot = {};
    std::memcpy(slot.tag, blob.id.data(), std::min(blob.id.size(), sizeof slot.tag));
    slot.blocks = narrow<uint32_t>(blob.uncompressed_size / tree_.block_size);
    slot.mapped_blkaddr = layout_.mapped_blkaddr[i];
    TRY(put(kRafsDeviceTableOffset + i * sizeof slot, slot));
    TRY(put(layout_.blob_table_offset + i * sizeof(rafs_v6_blob), encode_blob(blob, i)));
  }
  return {};
}

Result<void> BootstrapWriter::write_prefetch() {
  if (layout_.prefetch_table_offset == 0) return {};
  for (size_t i = 0; i < tree_.prefetch.size(); i++)
    TRY(put(layout_.prefetch_table_offset + i * sizeof(le32),
            le32(narrow<uint32_t>(nid(tree_.prefetch[i])))));
  return {};
}

erofs_inode_extended BootstrapWriter::encode_inode(InodeId id) const {
  const Inode& inode = tree_.inodes[id];
  const InodePlace& place = layout_.inodes[id];
  erofs_inode_extended out = {};
  out.i_format = static_cast<uint16_t>(1 | place.layout << 1);
  if (uint64_t xattrs = xattr_body_size(inode)) out.i_xattr_icount = narrow<uint16_t>((xattrs - 12) / 4 + 1);
  out.i_mode = inode.mode;
  out.i_size = inode.is_regular() ? inode.size : place.data_size;
  if (inode.is_regular()) {
    out.i_u = uint32_t{kChunkFormatIndexes} | chunk_format_bits(tree_, inode);
  } else if (inode.is_directory() || inode.is_symlink()) {
    out.i_u = narrow<uint32_t>(place.data_offset / tree_.block_size);
  } else {
    out.i_u = inode.rdev;
  }
  out.i_ino = place.ino;
  out.i_uid = inode.uid;
  out.i_gid = inode.gid;
  out.i_mtime = static_cast<uint64_t>(inode.mtime);
  out.i_mtime_nsec = inode.mtime_nsec;
  out.i_nlink = inode.nlink;
  return out;
}

Buffer BootstrapWriter::encode_directory(InodeId id) const {
  Buffer data(layout_.inodes[id].data_size);
  std::vector<DirentName> names = dirent_names(tree_, id);
  size_t block = 0;
  for (size_t first = 0; first < names.size(); block++) {
    size_t used = 0;
    size_t last = first;
    while (last < names.size() && used + sizeof(erofs_dirent) + names[last].name.size() <= tree_.block_size)
      used += sizeof(erofs_dirent) + names[last++].name.size();
    uint8_t* at = data.data() + block * tree_.block_size;
    size_t name_offset = (last - first) * sizeof(erofs_dirent);
    for (size_t i = first; i < last; i++) {
      erofs_dirent dirent = {};
      dirent.nid = nid(names[i].inode);
      dirent.nameoff = narrow<uint16_t>(name_offset);
      dirent.file_type = file_type_of(tree_.inodes[names[i].inode].mode);
      std::memcpy(at + (i - first) * sizeof dirent, &dirent, sizeof dirent);
      std::memcpy(at + name_offset, names[i].name.data(), names[i].name.size());
      name_offset += names[i].name.size();
    }
    first = last;
  }
  return data;
}

// Data of a directory or symlink: full blocks where the layout says, an inlined tail after the inode.
Result<void> BootstrapWriter::write_flat(InodeId id, uint64_t after_inode, ByteView data) {
  const InodePlace& place = layout_.inodes[id];
  if (data.size() != place.data_size)
    return make_error(Code::internal, fmt::format("bootstrap: inode {} has other data than its layout", id));
  uint64_t tail = place.layout == kLayoutFlatInline ? data.size() % tree_.block_size : 0;
  uint64_t full = data.size() - tail;
  if (full != 0) TRY(claim(place.data_offset, full, id));
  TRY(put_bytes(place.data_offset, data.first(full)));
  if (tail != 0 && after_inode / tree_.block_size != (after_inode + tail - 1) / tree_.block_size)
    return make_error(Code::internal, fmt::format("bootstrap: inode {} has a tail across blocks", id));
  return put_bytes(after_inode, data.subspan(full));
}

Result<void> BootstrapWriter::write_chunk_index(const Inode& inode, uint64_t after_inode) {
  uint64_t at = align_up(after_inode, 8);
  for (ChunkId id : inode.chunks) {
    const Chunk& chunk = tree_.chunks[id];
    rafs_v6_chunk_addr address = {};
    address.chunk_index_lo = static_cast<uint16_t>(chunk.index);
    address.chunk_index_hi = narrow<uint8_t>(chunk.index >> 16);
    address.device_id = narrow<uint8_t>(chunk.blob_index + 1);
    address.block_address = narrow<uint32_t>(chunk.uncompressed_offset / tree_.block_size);
    TRY(put(at, address));
    at += sizeof address;
  }
  return {};
}

Result<void> BootstrapWriter::write_inode(InodeId id) {
  const Inode& inode = tree_.inodes[id];
  const InodePlace& place = layout_.inodes[id];
  Buffer xattrs = encode_xattr_body(inode);
  uint64_t after = place.offset + kInodeSize + xattrs.size();
  uint64_t size = kInodeSize + xattrs.size();
  if (inode.is_regular()) {
    size = align_up(size, 8) + inode.chunks.size() * sizeof(rafs_v6_chunk_addr);
  } else if (place.layout == kLayoutFlatInline) {
    size += place.data_size % tree_.block_size;
  }
  TRY(claim(place.offset, size, id));
  TRY(put(place.offset, encode_inode(id)));
  TRY(put_bytes(place.offset + kInodeSize, xattrs));
  if (inode.is_directory()) return write_flat(id, after, encode_directory(id));
  if (inode.is_symlink()) return write_flat(id, after, as_bytes(*inode.target));
  if (inode.is_regular()) return write_chunk_index(inode, after);
  return {};
}

rafs_chunk_info encode_chunk(const Chunk& chunk) {
  rafs_chunk_info info = {};
  std::memcpy(info.digest, chunk.digest.bytes.data(), sizeof info.digest);
  info.blob_index = chunk.blob_index;
  info.flags = chunk.flags;
  info.compressed_size = chunk.compressed_size;
  info.uncompressed_size = chunk.uncompressed_size;
  info.compressed_offset = chunk.compressed_offset;
  info.uncompressed_offset = chunk.uncompressed_offset;
  info.file_offset = chunk.file_offset;
  info.index = chunk.index;
  info.crc32 = chunk.crc32;
  return info;
}

// Part by part, so that chunks and their table are not in memory whole together.
Result<void> BootstrapWriter::write_chunk_table() {
  size_t count = tree_.chunks.size();
  for (size_t first = 0; first < count; first += kFreedAtOnce) {
    auto part = std::span(tree_.chunks).subspan(first, std::min(kFreedAtOnce, count - first));
    uint64_t at = layout_.chunk_table_offset + first * sizeof(rafs_chunk_info);
    out_.resize(at + part.size() * sizeof(rafs_chunk_info));
    for (const Chunk& chunk : part) {
      TRY(put(at, encode_chunk(chunk)));
      at += sizeof(rafs_chunk_info);
    }
    os::discard({reinterpret_cast<uint8_t*>(part.data()), part.size_bytes()});
  }
  tree_.chunks = std::vector<Chunk>();
  out_.resize(layout_.size);
  return {};
}

// An assignment of {} would keep the memory.
void BootstrapWriter::end_inodes() {
  written_ = std::vector<bool>();
  layout_.inodes = std::vector<InodePlace>();
  layout_.visiting_order = std::vector<InodeId>();
  if (keep_ == Keep::nothing) tree_.inodes = std::vector<Inode>();
}

// Brings the chunks into the order of the table, in place, so that they can be freed in the order of writing.
void BootstrapWriter::sort_chunks() {
  std::vector<ChunkId> position(layout_.chunk_table.size());
  for (ChunkId i = 0; i < position.size(); i++) position[layout_.chunk_table[i]] = i;
  layout_.chunk_table = std::vector<ChunkId>();
  for (Inode& inode : tree_.inodes)
    for (ChunkId& chunk : inode.chunks) chunk = position[chunk];
  for (ChunkId i = 0; i < position.size(); i++) {
    while (position[i] != i) {
      std::swap(tree_.chunks[i], tree_.chunks[position[i]]);
      std::swap(position[i], position[position[i]]);
    }
  }
}

Result<Buffer> BootstrapWriter::write() {
  if (nid(kRootInode) != kRafsRootNid)
    return make_error(Code::internal, "bootstrap: the root is not the first inode");
  // Pages of the chunk table that nothing touches yet are not resident beside the inodes.
  out_.reserve(layout_.size);
  out_.resize(layout_.chunk_table_offset);
  TRY(write_superblocks());
  TRY(write_blobs());
  TRY(write_prefetch());
  for (InodeId id : layout_.visiting_order) TRY(write_inode(id));
  end_inodes();
  sort_chunks();
  TRY(write_chunk_table());
  return std::move(out_);
}

}  // namespace

Result<Buffer> drain_to_bootstrap(Tree& tree, Keep keep) {
  TRY_ASSIGN(Layout layout, compute_layout(tree));
  TRY_ASSIGN(Buffer bytes, BootstrapWriter(tree, keep, std::move(layout)).write());
  TRY(check_bootstrap(bytes, "bootstrap just written"));
  return bytes;
}

}  // namespace erofs_format
