// Structures inside a data blob (source: nydus-rafs-v6.md 2.1-2.7).
#pragma once

#include <cstddef>
#include <cstdint>

#include "erofs-format/base/endian.h"

namespace erofs_format::ondisk {

constexpr uint32_t kBlobMetaMagic = 0xB10BB10B;

// Header of the chunk information ("blob.meta"); follows it directly.
struct blob_meta_header {
  le32 magic;
  le32 features;
  le32 ci_compressor;
  le32 ci_entries;
  le64 ci_offset;
  le64 ci_compressed_size;
  le64 ci_uncompressed_size;
  le64 context_offset;  // zran or batch table inside the uncompressed information
  le64 context_size;
  le32 context_count;
  uint8_t reserved[4032];
  le32 magic2;
};
static_assert(sizeof(blob_meta_header) == 4096);
static_assert(offsetof(blob_meta_header, context_offset) == 40);
static_assert(offsetof(blob_meta_header, magic2) == 4092);

struct chunk_info_v1 {
  le64 uncompressed;
  le64 compressed;
};
static_assert(sizeof(chunk_info_v1) == 16);

struct chunk_info_v2 {
  le64 uncompressed;
  le64 compressed;
  le64 data;
};
static_assert(sizeof(chunk_info_v2) == 24);

enum : uint8_t {
  kInfoV2Compressed = 0x1,
  kInfoV2Zran = 0x2,
  kInfoV2Batch = 0x4,
  kInfoV2Encrypted = 0x8,
  kInfoV2HasCrc32 = 0x10,
};

struct batch_context {
  le32 compressed_size;
  le32 uncompressed_size;
  uint8_t reserved[32];
};
static_assert(sizeof(batch_context) == 40);

// Where an inflater can start in the middle of a gzip stream; dictionaries follow the last of them.
struct zran_context {
  le64 in_offset;
  le64 out_offset;
  le64 dict_offset;  // from the first dictionary on
  le32 in_len;
  le32 out_len;
  le32 dict_size;
  uint8_t ctx_byte;
  uint8_t ctx_bits;
  uint8_t reserved[2];
};
static_assert(sizeof(zran_context) == 40);
static_assert(offsetof(zran_context, ctx_byte) == 36);

constexpr uint32_t kMaxZranDictionary = 1u << 15;

enum : uint32_t { kTocRaw = 1, kTocZstd = 2, kTocLz4 = 4 };

struct toc_entry {
  le32 flags;
  le32 reserved1;
  uint8_t name[16];
  uint8_t uncompressed_digest[32];
  le64 compressed_offset;
  le64 compressed_size;
  le64 uncompressed_size;
  uint8_t reserved2[48];
};
static_assert(sizeof(toc_entry) == 128);
static_assert(offsetof(toc_entry, compressed_offset) == 56);

// Section names
constexpr char kSectionBlob[] = "image.blob";
constexpr char kSectionMeta[] = "blob.meta";
constexpr char kSectionMetaHeader[] = "blob.meta.header";  // in the table of contents only
constexpr char kSectionDigest[] = "blob.digest";
constexpr char kSectionBoot[] = "image.boot";
constexpr char kSectionToc[] = "rafs.blob.toc";

// POSIX tar header; in a blob it FOLLOWS the section it names.
struct tar_header {
  uint8_t name[100];
  uint8_t mode[8];
  uint8_t uid[8];
  uint8_t gid[8];
  uint8_t size[12];
  uint8_t mtime[12];
  uint8_t chksum[8];
  uint8_t typeflag;
  uint8_t linkname[100];
  uint8_t magic[6];
  uint8_t version[2];
  uint8_t uname[32];
  uint8_t gname[32];
  uint8_t devmajor[8];
  uint8_t devminor[8];
  uint8_t prefix[155];
  uint8_t pad[12];
};
static_assert(sizeof(tar_header) == 512);
static_assert(offsetof(tar_header, chksum) == 148);
static_assert(offsetof(tar_header, magic) == 257);

}  // namespace erofs_format::ondisk
