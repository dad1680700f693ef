// One inode: head, xattrs, chunk list or symlink target (erofs.md 8, 9, 12;
// nydus-rafs-v6.md 1.7, 1.10, 1.11).
#include <fmt/format.h>

#include "erofs-format/bootstrap/reader_image.h"

namespace erofs_format::reader {

using namespace ondisk;

namespace {

constexpr uint16_t kFormatExtended = 1;
constexpr uint16_t kFormatKnown = 0xf;

bool any_set(ByteView bytes) {
  for (uint8_t byte : bytes)
    if (byte) return true;
  return false;
}

Result<void> read_extended(const Image& image, uint64_t at, const erofs_inode_extended& raw, InodeHead& head,
                           Inode& inode) {
  // Kernels from 6.15 on read these 16 bits as the high part of the data's address.
  if (raw.i_reserved != 0)
    return image.corrupt(at + offsetof(erofs_inode_extended, i_reserved), "inode: i_nb is not 0");
  if (raw.i_mtime_nsec >= 1000000000u)
    return image.corrupt(at + offsetof(erofs_inode_extended, i_mtime_nsec),
                         "inode: i_mtime_nsec is a second or more");
  if (any_set(raw.i_reserved2))
    image.note(at + offsetof(erofs_inode_extended, i_reserved2), "inode: reserved bytes are not 0");
  head.size = raw.i_size;
  head.data = raw.i_u;
  inode.mode = raw.i_mode;
  inode.uid = raw.i_uid;
  inode.gid = raw.i_gid;
  inode.nlink = raw.i_nlink;
  inode.mtime = static_cast<int64_t>(raw.i_mtime.value());
  inode.mtime_nsec = raw.i_mtime_nsec;
  return {};
}

Result<void> read_compact(const Image& image, uint64_t at, const erofs_inode_compact& raw, InodeHead& head,
                          Inode& inode) {
  // Kernels before 6.15 ignore it, later ones add it to the time of the image.
  if (raw.i_mtime != 0)
    return image.corrupt(at + offsetof(erofs_inode_compact, i_mtime),
                         "inode: i_mtime of a compact inode is not 0");
  if (raw.i_reserved2 != 0)
    image.note(at + offsetof(erofs_inode_compact, i_reserved2), "inode: reserved bytes are not 0");
  head.size = raw.i_size;
  head.data = raw.i_u;
  inode.mode = raw.i_mode;
  inode.uid = raw.i_uid;
  inode.gid = raw.i_gid;
  inode.nlink = raw.i_nlink;
  inode.mtime = image.build_time;
  inode.mtime_nsec = image.build_time_nsec;
  return {};
}

// The fixed part; checks what does not depend on the type.
Result<InodeHead> read_head(const Image& image, uint64_t at, Inode& inode) {
  InodeHead head;
  head.offset = at;
  const auto* compact = struct_at<erofs_inode_compact>(image.bytes, at);
  if (!compact) return image.corrupt(at, "inode: lies outside the image");
  uint16_t format = compact->i_format;
  if (format & ~kFormatKnown) return image.corrupt(at, "inode: i_format has unknown bits");
  head.layout = format >> 1;
  uint64_t inode_size = sizeof(erofs_inode_compact);
  if (format & kFormatExtended) {
    const auto* extended = struct_at<erofs_inode_extended>(image.bytes, at);
    if (!extended) return image.corrupt(at, "inode: lies outside the image");
    inode_size = sizeof(*extended);
    TRY(read_extended(image, at, *extended, head, inode));
  } else {
    TRY(read_compact(image, at, *compact, head, inode));
  }
  uint16_t count = compact->i_xattr_icount;
  if (count == 1)
    return image.corrupt(at + offsetof(erofs_inode_compact, i_xattr_icount), "inode: i_xattr_icount is 1");
  head.xattr_size = count == 0 ? 0 : 12 + 4 * (uint32_t{count} - 1);
  head.end = at + inode_size + head.xattr_size;
  if (head.end > image.size())
    return image.corrupt(at + offsetof(erofs_inode_compact, i_xattr_icount),
                         "inode: i_xattr_icount reaches outside the image");
  return head;
}

uint64_t size_field(uint64_t at) { return at + 8; }   // the same in both forms
uint64_t data_field(uint64_t at) { return at + 16; }  // the same in both forms

Error wrong_layout(const Image& image, const InodeHead& head) {
  return image.corrupt(head.offset,
                       fmt::format("inode: i_format: layout {} is not one for this file type", head.layout));
}

// The kernel takes the file's own chunk size, nydusd the image's: both must give the same bytes.
Result<void> check_chunk_format(const Image& image, const Tree& tree, const ChunkIndex& index,
                                const InodeHead& head, const ChunkList& chunks) {
  uint64_t at = data_field(head.offset);
  uint32_t format = head.data;
  if (format & ~uint32_t{kChunkFormatBitsMask | kChunkFormatIndexes})
    return image.corrupt(at, "inode: chunk format has unknown bits");
  if (!(format & kChunkFormatIndexes) && !chunks.empty())
    return image.corrupt(at, "inode: chunk format is a block map");
  uint64_t kernel_size = uint64_t{image.block_size} << (format & kChunkFormatBitsMask);
  if (chunks.empty() || kernel_size == tree.chunk_size) return {};
  if (kernel_size < tree.chunk_size && chunks.size() == 1 && head.size <= kernel_size) return {};
  if (kernel_size < head.size)
    return image.corrupt(at, "inode: chunk format does not agree with chunk_size of the image");
  ChunkPlace first = index[chunks.front()];
  for (size_t i = 0; i < chunks.size(); i++) {
    ChunkPlace chunk = index[chunks[i]];
    if (chunk.blob_index != first.blob_index ||
        chunk.uncompressed_offset != first.uncompressed_offset + i * tree.chunk_size)
      return image.corrupt(at, fmt::format("inode: chunk format promises one run, chunk {} leaves it", i));
  }
  return {};
}

// The chunk of a tar that stays as it is: nothing but its address says where it lies.
Result<ChunkId> add_tar_chunk(const Image& image, const Tree& tree, ChunkIndex& index, Chunk chunk,
                              uint64_t at) {
  const Blob& blob = tree.blobs[chunk.blob_index];
  if (chunk.index >= blob.chunk_count)
    return image.corrupt(at, "chunk index: is not below chunk_count of the blob");
  if (!in_range(chunk.uncompressed_offset, chunk.uncompressed_size, blob.uncompressed_size))
    return image.corrupt(at + offsetof(rafs_v6_chunk_addr, block_address),
                         "chunk index: block address lies outside the blob");
  chunk.compressed_offset = chunk.uncompressed_offset;
  chunk.compressed_size = chunk.uncompressed_size;
  return index.add(chunk);
}

Result<ChunkId> read_chunk_address(const Image& image, const Tree& tree, ChunkIndex& index,
                                   const rafs_v6_chunk_addr& raw, uint64_t at, uint64_t raw_size) {
  if (raw.device_id == 0 || raw.device_id > tree.blobs.size())
    return image.corrupt(at + 2,
                         fmt::format("chunk index: device id {} is not that of a blob", raw.device_id));
  uint32_t number = uint32_t{raw.chunk_index_hi} << 16 | raw.chunk_index_lo;
  ChunkId id = index.find(raw.device_id - 1u, number);
  if (id == ChunkIndex::kNoChunk && tree.blobs[raw.device_id - 1u].has(kBlobTarfs)) {
    Chunk chunk;
    chunk.blob_index = raw.device_id - 1u;
    chunk.index = number;
    chunk.uncompressed_size = static_cast<uint32_t>(raw_size);
    chunk.uncompressed_offset = uint64_t{raw.block_address} * image.block_size;
    return add_tar_chunk(image, tree, index, chunk, at);
  }
  if (id == ChunkIndex::kNoChunk)
    return image.corrupt(at, fmt::format("chunk index: chunk {} of blob {} is not in the chunk table", number,
                                         raw.device_id - 1));
  ChunkPlace chunk = index[id];
  if (uint64_t{raw.block_address} * image.block_size != chunk.uncompressed_offset)
    return image.corrupt(at + offsetof(rafs_v6_chunk_addr, block_address),
                         "chunk index: block address is not that of the chunk table");
  if (chunk.uncompressed_size != raw_size)
    return image.corrupt(at, fmt::format("chunk index: chunk has {} bytes where the file has {}",
                                         chunk.uncompressed_size, raw_size));
  return id;
}

Result<void> read_chunk_list(Image& image, const Tree& tree, ChunkIndex& index, InodeHead& head,
                             Inode& inode) {
  uint64_t count = div_up(head.size, tree.chunk_size);
  uint64_t at = align_up(head.end, sizeof(rafs_v6_chunk_addr));
  auto raws = structs_at<rafs_v6_chunk_addr>(image.bytes, at, count);
  if (raws.size() != count)
    return image.corrupt(size_field(head.offset),
                         "inode: i_size asks for a chunk list longer than the image");
  head.end = at + raws.size_bytes();
  for (uint64_t i = 0; i < count; i++) {
    uint64_t raw_size = std::min<uint64_t>(tree.chunk_size, head.size - i * tree.chunk_size);
    TRY_ASSIGN(ChunkId id,
               read_chunk_address(image, tree, index, raws[i], at + i * sizeof(raws[0]), raw_size));
    inode.chunks.push_back(id);
  }
  return check_chunk_format(image, tree, index, head, inode.chunks);
}

Result<void> read_regular(Image& image, const Tree& tree, ChunkIndex& index, InodeHead& head, Inode& inode) {
  if (head.size > INT64_MAX) return image.corrupt(size_field(head.offset), "inode: i_size is negative");
  inode.size = head.size;
  // Other builders store an empty file flat.
  if (head.layout == kLayoutFlatPlain && head.size == 0) return {};
  if (head.layout != kLayoutChunkBased) return wrong_layout(image, head);
  return read_chunk_list(image, tree, index, head, inode);
}

Result<void> check_flat(const Image& image, const InodeHead& head) {
  if (head.layout != kLayoutFlatPlain && head.layout != kLayoutFlatInline) return wrong_layout(image, head);
  if (head.size > image.size())
    return image.corrupt(size_field(head.offset), "inode: i_size is larger than the image");
  return {};
}

Result<void> read_symlink(Image& image, const InodeHead& head, Inode& inode) {
  TRY(check_flat(image, head));
  if (head.size == 0 || head.size > kMaxSymlinkLength)
    return image.corrupt(size_field(head.offset), "inode: i_size of a symlink is not 1 to 4095");
  TRY_ASSIGN(FlatData data, claim_flat_data(image, head, "the target of a symlink"));
  std::string target = std::string(as_text(data.full)) + std::string(as_text(data.tail));
  if (size_t nul = target.find('\0'); nul != std::string::npos) {
    // nydus-image damages long targets of tarfs images: what kernels read of them ends here.
    if (image.block_size != 512 || nul == 0)
      return image.corrupt(head.offset, "inode: target of the symlink has a NUL");
    image.note(head.offset, "inode: target of the symlink ends at a NUL, too early");
    target.resize(nul);
  }
  inode.size = target.size();
  inode.target = std::make_unique<std::string>(std::move(target));
  return {};
}

Result<void> read_special(const Image& image, const InodeHead& head, Inode& inode) {
  if (head.layout != kLayoutFlatPlain) return wrong_layout(image, head);
  if (head.size != 0)
    return image.corrupt(size_field(head.offset), "inode: i_size of a special file is not 0");
  if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) inode.rdev = head.data;
  return {};
}

Result<void> read_by_type(Image& image, const Tree& tree, ChunkIndex& chunks, InodeHead& head, Inode& inode) {
  switch (inode.mode & S_IFMT) {
    case S_IFREG: return read_regular(image, tree, chunks, head, inode);
    case S_IFDIR: return check_flat(image, head);
    case S_IFLNK: return read_symlink(image, head, inode);
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK: return read_special(image, head, inode);
    default: return image.corrupt(head.offset + 4, "inode: i_mode has no known file type");
  }
}

}  // namespace

Result<FlatData> claim_flat_data(Image& image, const InodeHead& head, std::string_view owner) {
  FlatData data;
  uint64_t tail = head.size % image.block_size;
  bool is_inline = head.layout == kLayoutFlatInline;
  if (is_inline && tail == 0)
    return image.corrupt(size_field(head.offset), "inode: i_size leaves nothing for the inline tail");
  uint64_t full = is_inline ? head.size - tail : head.size;
  if (full != 0) {
    uint64_t start = uint64_t{head.data} * image.block_size;
    if (!in_range(start, full, image.size()))
      return image.corrupt(data_field(head.offset), "inode: data lies outside the image");
    TRY(image.claim(start, full, owner));
    data.full = image.bytes.subspan(start, full);
  }
  if (!is_inline) return data;
  if (head.end / image.block_size != (head.end + tail - 1) / image.block_size)
    return image.corrupt(head.offset, "inode: inline tail crosses a block");
  if (!in_range(head.end, tail, image.size()))
    return image.corrupt(head.offset, "inode: inline tail lies outside the image");
  data.tail = image.bytes.subspan(head.end, tail);
  return data;
}

Result<InodeHead> parse_inode(Image& image, const Tree& tree, ChunkIndex& chunks, uint64_t offset,
                              Inode& inode) {
  TRY_ASSIGN(InodeHead head, read_head(image, offset, inode));
  TRY(parse_xattrs(image, head.end - head.xattr_size, head.xattr_size, inode));
  TRY(read_by_type(image, tree, chunks, head, inode));
  uint64_t end = head.end;
  if (head.layout == kLayoutFlatInline) end += head.size % image.block_size;
  TRY(image.claim(offset, end - offset, "an inode"));
  return head;
}

}  // namespace erofs_format::reader
