// Both superblocks: every field a kernel or nydusd interprets (erofs.md 3, 15; nydus-rafs-v6.md 1.2, 1.3).
#include <bit>

#include "erofs-format/bootstrap/reader_image.h"

namespace erofs_format::reader {

using namespace ondisk;

namespace {

constexpr uint32_t kCompatChecksum = 0x1;         // RAFS forbids the checksum it would announce
constexpr uint32_t kCompatXattrInMetabox = 0x8;   // needs an inode RAFS cannot have
constexpr uint32_t kCompatSharedContents = 0x20;  // needs a prefix table RAFS cannot have

constexpr uint64_t kCompressors =
    kRafsCompressNone | kRafsCompressLz4 | kRafsCompressGzip | kRafsCompressZstd;
constexpr uint64_t kDigesters = kRafsDigestBlake3 | kRafsDigestSha256;

bool any_set(ByteView bytes) {
  for (uint8_t byte : bytes)
    if (byte) return true;
  return false;
}

#define SB_AT(field) (kSuperOffset + offsetof(erofs_super_block, field))
#define EXT_AT(field) (kRafsSuperExtOffset + offsetof(rafs_v6_super_block_ext, field))

Result<void> check_features(const Image& image, const erofs_super_block& sb) {
  uint32_t compat = sb.feature_compat;
  TRY(check_rules(image, {{sb.magic != kSuperMagic, SB_AT(magic), "superblock: magic is not that of EROFS"},
                          {!(compat & kCompatRafsV6), SB_AT(feature_compat),
                           "superblock: feature_compat has no RAFS v6 mark"}}));
  constexpr uint32_t kRefused = kCompatChecksum | kCompatXattrInMetabox | kCompatSharedContents;
  return check_rules(
      image,
      {{sb.checksum != 0, SB_AT(checksum), "superblock: checksum is not 0"},
       {(compat & kRefused) != 0, SB_AT(feature_compat), "superblock: feature_compat has a bit RAFS forbids"},
       {sb.blkszbits != 12 && sb.blkszbits != 9, SB_AT(blkszbits), "superblock: blkszbits is not 12 or 9"},
       {sb.sb_extslots != 0, SB_AT(sb_extslots), "superblock: sb_extslots is not 0"},
       {sb.feature_incompat != (kIncompatChunkedFile | kIncompatDeviceTable), SB_AT(feature_incompat),
        "superblock: feature_incompat is not chunked file and device table"},
       {sb.available_compr_algs != 0, SB_AT(available_compr_algs),
        "superblock: available_compr_algs is not 0"},
       {sb.dirblkbits != 0, SB_AT(dirblkbits), "superblock: dirblkbits is not 0"},
       {sb.xattr_prefix_count != 0, SB_AT(xattr_prefix_count), "superblock: xattr_prefix_count is not 0"},
       {sb.packed_nid != 0, SB_AT(packed_nid), "superblock: packed_nid is not 0"},
       {sb.xattr_blkaddr != 0, SB_AT(xattr_blkaddr), "superblock: xattr_blkaddr is not 0"}});
}

Result<void> check_geometry(const Image& image, const erofs_super_block& sb) {
  uint64_t meta = uint64_t{sb.meta_blkaddr} * image.block_size;
  return check_rules(
      image,
      {{sb.inos == 0, SB_AT(inos), "superblock: inos is 0"},
       {sb.build_time_nsec >= 1000000000u, SB_AT(build_time_nsec),
        "superblock: build_time_nsec is a second or more"},
       {meta > image.size(), SB_AT(meta_blkaddr), "superblock: meta_blkaddr lies outside the image"},
       {sb.extra_devices > kRafsMaxBlobs, SB_AT(extra_devices), "superblock: extra_devices is over 254"},
       {sb.extra_devices == 0 && sb.blocks != 0 && sb.blocks != 4096, SB_AT(blocks),
        "superblock: blocks is not 0 in an image without devices"},
       {sb.devt_slotoff != kRafsDeviceSlotOffset, SB_AT(devt_slotoff), "superblock: devt_slotoff is not 11"},
       {sb.volume_name[15] != 0, SB_AT(volume_name), "superblock: volume_name has no NUL"}});
}

void note_reserved(const Image& image, const erofs_super_block& sb, const rafs_v6_super_block_ext& ext) {
  if (sb.xattr_filter_reserved != 0 || any_set(sb.reserved2) || sb.xattr_prefix_start != 0)
    image.note(SB_AT(xattr_prefix_start), "superblock: reserved bytes are not 0");
  if (ext.padding != 0 || any_set(ext.reserved))
    image.note(EXT_AT(padding), "extended superblock: reserved bytes are not 0");
}

void take_superblock(const erofs_super_block& sb, Image& image) {
  image.meta_offset = uint64_t{sb.meta_blkaddr} * image.block_size;
  image.root_nid = sb.root_nid;
  image.inos = sb.inos;
  image.feature_compat = sb.feature_compat;
  image.build_time = static_cast<int64_t>(sb.build_time.value());
  image.build_time_nsec = sb.build_time_nsec;
  image.device_count = sb.extra_devices;
}

Result<void> check_flags(const Image& image, uint64_t flags) {
  bool tarfs = (flags & kRafsTarfs) != 0;
  return check_rules(image, {{tarfs != (image.block_size == 512), EXT_AT(flags),
                              "extended superblock: flags and blkszbits do not agree on tarfs"},
                             {(flags & ~uint64_t{kRafsKnownFlags}) != 0, EXT_AT(flags),
                              "extended superblock: flags has unknown bits"},
                             {std::popcount(flags & kCompressors) != 1, EXT_AT(flags),
                              "extended superblock: flags does not name one compressor"},
                             {std::popcount(flags & kDigesters) != 1, EXT_AT(flags),
                              "extended superblock: flags does not name one digester"}});
}

Result<void> check_tables(const Image& image, const rafs_v6_super_block_ext& ext) {
  constexpr uint64_t kBlock = 4096;
  uint64_t chunks = ext.chunk_table_offset, prefetch = ext.prefetch_table_offset;
  bool has_chunks = ext.chunk_table_size != 0;
  bool has_prefetch = ext.prefetch_table_size != 0 && prefetch != 0;
  return check_rules(
      image,
      {{!is_power_of_two(ext.chunk_size) || ext.chunk_size < kMinChunkSize || ext.chunk_size > kMaxChunkSize,
        EXT_AT(chunk_size), "extended superblock: chunk_size is not a power of two from 4 KiB to 16 MiB"},
       {ext.blob_table_offset < kBlock || ext.blob_table_offset % kBlock != 0, EXT_AT(blob_table_offset),
        "extended superblock: blob_table_offset is not a block after the first"},
       {ext.blob_table_size != image.device_count * sizeof(rafs_v6_blob), EXT_AT(blob_table_size),
        "extended superblock: blob_table_size is not 256 bytes for each device"},
       {has_chunks && (chunks < kBlock || chunks % kBlock != 0), EXT_AT(chunk_table_offset),
        "extended superblock: chunk_table_offset is not a block after the first"},
       {ext.chunk_table_size % sizeof(rafs_chunk_info) != 0, EXT_AT(chunk_table_size),
        "extended superblock: chunk_table_size is not a multiple of 80"},
       {has_prefetch && (prefetch < kBlock || prefetch % 8 != 0), EXT_AT(prefetch_table_offset),
        "extended superblock: prefetch_table_offset is not a multiple of 8 after the first block"},
       {ext.prefetch_table_size % 4 != 0, EXT_AT(prefetch_table_size),
        "extended superblock: prefetch_table_size is not a multiple of 4"}});
}

void take_extended(const rafs_v6_super_block_ext& ext, Image& image, Tree& tree) {
  image.blob_table_offset = ext.blob_table_offset;
  image.chunk_table_offset = ext.chunk_table_offset;
  image.chunk_table_size = ext.chunk_table_size;
  image.prefetch_table_offset = ext.prefetch_table_offset;
  // An offset of 0 is how old writers said "empty".
  image.prefetch_table_size = image.prefetch_table_offset == 0 ? 0 : ext.prefetch_table_size.value();
  uint64_t flags = ext.flags;
  tree.flags = flags;
  tree.chunk_size = ext.chunk_size;
  tree.block_size = image.block_size;
  tree.explicit_uid_gid = (flags & kRafsExplicitUidGid) != 0;
  tree.digester = flags & kRafsDigestSha256 ? Digester::sha256 : Digester::blake3;
  tree.compressor = flags & kRafsCompressNone   ? Compressor::none
                    : flags & kRafsCompressLz4  ? Compressor::lz4_block
                    : flags & kRafsCompressGzip ? Compressor::gzip
                                                : Compressor::zstd;
}

Result<void> claim_tables(Image& image) {
  TRY(image.claim(0, kRafsDeviceTableOffset, "the superblocks"));
  TRY(image.claim(kRafsDeviceTableOffset, image.device_count * sizeof(erofs_deviceslot), "the device table"));
  TRY(image.claim(image.blob_table_offset, image.device_count * sizeof(rafs_v6_blob), "the blob table"));
  if (image.prefetch_table_size != 0)
    TRY(image.claim(image.prefetch_table_offset, image.prefetch_table_size, "the prefetch table"));
  if (image.chunk_table_size != 0)
    TRY(image.claim(image.chunk_table_offset, image.chunk_table_size, "the chunk table"));
  return {};
}

}  // namespace

Result<void> parse_superblocks(Image& image, Tree& tree) {
  if (image.size() < 4096 || image.size() % 4096 != 0)
    return image.corrupt(image.size(), "length of the image is not a positive multiple of 4096");
  const auto& sb = *struct_at<erofs_super_block>(image.bytes, kSuperOffset);
  const auto& ext = *struct_at<rafs_v6_super_block_ext>(image.bytes, kRafsSuperExtOffset);
  TRY(check_features(image, sb));
  image.block_size = 1u << sb.blkszbits;
  TRY(check_flags(image, ext.flags));
  TRY(check_geometry(image, sb));
  take_superblock(sb, image);
  TRY(check_tables(image, ext));
  take_extended(ext, image, tree);
  note_reserved(image, sb, ext);
  return claim_tables(image);
}

}  // namespace erofs_format::reader
