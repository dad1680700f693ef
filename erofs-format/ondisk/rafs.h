// What RAFS v6 adds to an EROFS image (source: nydus-rafs-v6.md 1.3-1.13).
#pragma once

#include <cstddef>
#include <cstdint>

#include "erofs-format/base/endian.h"

namespace erofs_format::ondisk {

constexpr uint64_t kRafsSuperExtOffset = 1152;
constexpr uint64_t kRafsDeviceTableOffset = 1408;
constexpr uint16_t kRafsDeviceSlotOffset = 11;
constexpr uint32_t kRafsRootNid = 128;
constexpr uint32_t kRafsMaxBlobs = 254;
constexpr uint32_t kRafsMaxChunkIndex = 0xfffffe;
constexpr uint32_t kMinChunkSize = 0x1000;
constexpr uint32_t kMaxChunkSize = 0x1000000;
// Mapped addresses are multiples of this many bytes.
constexpr uint64_t kRafsMappedAlignment = 0x80000;

// Extended superblock flags
enum : uint64_t {
  kRafsCompressNone = 0x1,
  kRafsCompressLz4 = 0x2,
  kRafsDigestBlake3 = 0x4,
  kRafsDigestSha256 = 0x8,
  kRafsExplicitUidGid = 0x10,
  kRafsHasXattr = 0x20,
  kRafsCompressGzip = 0x40,
  kRafsCompressZstd = 0x80,
  kRafsInlinedChunkDigest = 0x100,
  kRafsTarfs = 0x200,
  kRafsEncryptionNone = 0x01000000,
  kRafsEncryptionAes128Xts = 0x02000000,
  kRafsKnownFlags = 0xff0003ff,
};

struct rafs_v6_super_block_ext {
  le64 flags;
  le64 blob_table_offset;
  le32 blob_table_size;
  le32 chunk_size;
  le64 chunk_table_offset;
  le64 chunk_table_size;
  le64 prefetch_table_offset;
  le32 prefetch_table_size;
  le32 padding;
  uint8_t reserved[200];
};
static_assert(sizeof(rafs_v6_super_block_ext) == 256);
static_assert(offsetof(rafs_v6_super_block_ext, chunk_size) == 20);
static_assert(offsetof(rafs_v6_super_block_ext, prefetch_table_offset) == 40);

// Blob features; the same bits in the header of the chunk information.
enum : uint32_t {
  kBlobAligned = 0x1,
  kBlobInlinedFsMeta = 0x2,
  kBlobChunkInfoV2 = 0x4,
  kBlobZran = 0x8,
  kBlobSeparate = 0x10,
  kBlobInlinedChunkDigest = 0x20,
  kBlobTarfs = 0x40,
  kBlobBatch = 0x80,
  kBlobEncrypted = 0x100,
  kBlobIsChunkdictGenerated = 0x200,
  kBlobSeparatedPrefetch = 0x400,
  kBlobExternal = 0x800,
  kBlobHasTarHeader = 0x10000000,
  kBlobHasToc = 0x20000000,
  kBlobCapTarToc = 0x40000000,
  kBlobV5Internal = 0x80000000,
  kBlobIncompatMask = 0x0000ffff,
  kBlobIncompatKnown = 0x00000fff,
};

struct rafs_v6_blob {
  uint8_t blob_id[64];
  le32 blob_index;
  le32 chunk_size;
  le32 chunk_count;
  le32 compressor;
  le32 digester;
  le32 features;
  le64 compressed_size;
  le64 uncompressed_size;
  le32 blob_toc_size;
  le32 ci_compressor;
  le64 ci_offset;
  le64 ci_compressed_size;
  le64 ci_uncompressed_size;
  uint8_t blob_toc_digest[32];
  uint8_t blob_meta_digest[32];  // encrypted blobs: the key
  le64 blob_meta_size;           // encrypted blobs: IV bytes 0-7
  le64 cipher_iv;                // IV bytes 8-15
  le32 cipher_algo;              // 0 none, 1 AES-128-XTS
  uint8_t reserved[36];
};
static_assert(sizeof(rafs_v6_blob) == 256);
static_assert(offsetof(rafs_v6_blob, compressed_size) == 88);
static_assert(offsetof(rafs_v6_blob, ci_offset) == 112);
static_assert(offsetof(rafs_v6_blob, blob_toc_digest) == 136);
static_assert(offsetof(rafs_v6_blob, blob_meta_size) == 200);
static_assert(offsetof(rafs_v6_blob, cipher_algo) == 216);

// Chunk table flags
enum : uint32_t {
  kChunkCompressed = 0x1,
  kChunkHole = 0x2,
  kChunkEncrypted = 0x4,
  kChunkBatch = 0x8,
  kChunkHasCrc32 = 0x10,
};

struct rafs_chunk_info {
  uint8_t digest[32];
  le32 blob_index;
  le32 flags;
  le32 compressed_size;
  le32 uncompressed_size;
  le64 compressed_offset;
  le64 uncompressed_offset;
  le64 file_offset;
  le32 index;
  le32 crc32;
};
static_assert(sizeof(rafs_chunk_info) == 80);
static_assert(offsetof(rafs_chunk_info, compressed_offset) == 48);
static_assert(offsetof(rafs_chunk_info, index) == 72);

// One entry of a file's chunk index, read by the kernel as
// erofs_inode_chunk_index {startblk_hi, device_id, startblk_lo}.
struct rafs_v6_chunk_addr {
  le16 chunk_index_lo;
  uint8_t device_id;  // blob index + 1
  uint8_t chunk_index_hi;
  le32 block_address;
};
static_assert(sizeof(rafs_v6_chunk_addr) == 8);

}  // namespace erofs_format::ondisk
