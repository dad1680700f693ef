// The EROFS structures a RAFS v6 bootstrap is made of, as in the kernel's
// fs/erofs/erofs_fs.h (names of structs and fields are the kernel's).
#pragma once

#include <cstddef>
#include <cstdint>

#include "erofs-format/base/endian.h"

namespace erofs_format::ondisk {

constexpr uint64_t kSuperOffset = 1024;
constexpr uint32_t kSuperMagic = 0xE0F5E1E2;
constexpr uint32_t kSlotSize = 32;  // a nid counts these

// feature_incompat
constexpr uint32_t kIncompatChunkedFile = 0x4;
constexpr uint32_t kIncompatDeviceTable = 0x8;
// feature_compat: private mark of RAFS v6, unknown to the kernel
constexpr uint32_t kCompatRafsV6 = 0x40000000;

struct erofs_super_block {
  le32 magic;
  le32 checksum;
  le32 feature_compat;
  uint8_t blkszbits;
  uint8_t sb_extslots;
  le16 root_nid;
  le64 inos;
  le64 build_time;
  le32 build_time_nsec;
  le32 blocks;
  le32 meta_blkaddr;
  le32 xattr_blkaddr;
  uint8_t uuid[16];
  uint8_t volume_name[16];
  le32 feature_incompat;
  le16 available_compr_algs;
  le16 extra_devices;
  le16 devt_slotoff;
  uint8_t dirblkbits;
  uint8_t xattr_prefix_count;
  le32 xattr_prefix_start;
  le64 packed_nid;
  uint8_t xattr_filter_reserved;
  uint8_t reserved2[23];
};
static_assert(sizeof(erofs_super_block) == 128);
static_assert(offsetof(erofs_super_block, feature_compat) == 8);
static_assert(offsetof(erofs_super_block, blkszbits) == 12);
static_assert(offsetof(erofs_super_block, root_nid) == 14);
static_assert(offsetof(erofs_super_block, inos) == 16);
static_assert(offsetof(erofs_super_block, blocks) == 36);
static_assert(offsetof(erofs_super_block, meta_blkaddr) == 40);
static_assert(offsetof(erofs_super_block, uuid) == 48);
static_assert(offsetof(erofs_super_block, feature_incompat) == 80);
static_assert(offsetof(erofs_super_block, extra_devices) == 86);
static_assert(offsetof(erofs_super_block, devt_slotoff) == 88);
static_assert(offsetof(erofs_super_block, packed_nid) == 96);

struct erofs_deviceslot {
  uint8_t tag[64];  // blob id, hex digits, NUL padded
  le32 blocks;
  le32 mapped_blkaddr;
  uint8_t reserved[56];
};
static_assert(sizeof(erofs_deviceslot) == 128);
static_assert(offsetof(erofs_deviceslot, blocks) == 64);

// i_format: bit 0 = extended, bits 1-3 = layout
enum : uint16_t {
  kLayoutFlatPlain = 0,
  kLayoutCompressedFull = 1,
  kLayoutFlatInline = 2,
  kLayoutCompressedCompact = 3,
  kLayoutChunkBased = 4,
};

struct erofs_inode_compact {
  le16 i_format;
  le16 i_xattr_icount;
  le16 i_mode;
  le16 i_nlink;
  le32 i_size;
  le32 i_mtime;
  le32 i_u;
  le32 i_ino;
  le16 i_uid;
  le16 i_gid;
  le32 i_reserved2;
};
static_assert(sizeof(erofs_inode_compact) == 32);

struct erofs_inode_extended {
  le16 i_format;
  le16 i_xattr_icount;
  le16 i_mode;
  le16 i_reserved;
  le64 i_size;
  le32 i_u;
  le32 i_ino;
  le32 i_uid;
  le32 i_gid;
  le64 i_mtime;
  le32 i_mtime_nsec;
  le32 i_nlink;
  uint8_t i_reserved2[16];
};
static_assert(sizeof(erofs_inode_extended) == 64);
static_assert(offsetof(erofs_inode_extended, i_size) == 8);
static_assert(offsetof(erofs_inode_extended, i_uid) == 24);
static_assert(offsetof(erofs_inode_extended, i_mtime) == 32);
static_assert(offsetof(erofs_inode_extended, i_nlink) == 44);

// Chunk format of a chunk-based inode (low half of i_u)
constexpr uint16_t kChunkFormatBitsMask = 0x1f;  // log2(chunk size) - blkszbits
constexpr uint16_t kChunkFormatIndexes = 0x20;   // 8-byte indexes

struct erofs_dirent {
  le64 nid;
  le16 nameoff;
  uint8_t file_type;
  uint8_t reserved;
};
static_assert(sizeof(erofs_dirent) == 12);

enum : uint8_t {
  kFtUnknown = 0,
  kFtRegular = 1,
  kFtDirectory = 2,
  kFtCharDevice = 3,
  kFtBlockDevice = 4,
  kFtFifo = 5,
  kFtSocket = 6,
  kFtSymlink = 7,
};

struct erofs_xattr_ibody_header {
  le32 h_name_filter;
  uint8_t h_shared_count;
  uint8_t h_reserved2[7];
};
static_assert(sizeof(erofs_xattr_ibody_header) == 12);

struct erofs_xattr_entry {
  uint8_t e_name_len;
  uint8_t e_name_index;
  le16 e_value_size;
};
static_assert(sizeof(erofs_xattr_entry) == 4);

enum : uint8_t {
  kXattrUser = 1,
  kXattrPosixAclAccess = 2,
  kXattrPosixAclDefault = 3,
  kXattrTrusted = 4,
  kXattrSecurity = 6,
};

constexpr size_t kMaxNameLength = 255;
constexpr size_t kMaxSymlinkLength = 4095;
constexpr size_t kMaxXattrValue = 65535;

}  // namespace erofs_format::ondisk
