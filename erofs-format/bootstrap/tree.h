// An image in memory: inodes, directory entries, chunks, blobs. The builder fills
// one, the bootstrap reader publishes one, layout and writer turn one into bytes. There is
// no other in-memory form of an image.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/cipher.h"
#include "erofs-format/base/codec.h"
#include "erofs-format/base/digest.h"
#include "erofs-format/bootstrap/chunk_list.h"

namespace erofs_format {

using InodeId = uint32_t;  // index into Tree::inodes
constexpr InodeId kRootInode = 0;
constexpr InodeId kNoInode = UINT32_MAX;

// Full name ("user.a") -> value; ordered, so that output does not depend on input order.
using Xattrs = std::map<std::string, std::string>;

struct DirEntry {
  std::string name;  // 1-255 bytes, no '/', no NUL, not "." or ".."
  InodeId inode = kNoInode;
};

struct Inode {
  uint16_t mode = 0;     // full st_mode
  bool implied = false;  // directory no entry of the source spoke of: a layer below knows better
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t rdev = 0;  // new_encode_dev packing, char and block devices
  uint32_t nlink = 1;
  uint32_t mtime_nsec = 0;
  int64_t mtime = 0;                               // seconds
  uint64_t size = 0;                               // regular: bytes; symlink: target length; others 0
  InodeId parent = kNoInode;                       // directories only; the root is its own parent
  std::unique_ptr<Xattrs> xattrs;                  // null = none
  std::unique_ptr<std::vector<DirEntry>> entries;  // directories, sorted by name bytes
  ChunkList chunks;                                // regular files: ceil(size / chunk_size)
  std::unique_ptr<std::string> target;             // symlinks only; null otherwise

  bool is_directory() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
};

// One distinct chunk of one blob: an entry of the bootstrap's chunk table.
struct Chunk {
  Digest digest;                     // zero where a tarfs image has none
  uint32_t blob_index = 0;           // into Tree::blobs
  uint32_t index = 0;                // position in the blob's chunk information
  uint32_t flags = 0;                // ondisk::kChunk…
  uint32_t compressed_size = 0;      // bytes; 0 for members of a batch
  uint32_t uncompressed_size = 0;    // bytes
  uint32_t crc32 = 0;                // CRC-32C of the raw bytes, with kChunkHasCrc32
  uint64_t compressed_offset = 0;    // byte in the blob
  uint64_t uncompressed_offset = 0;  // byte in the blob's cache image, multiple of 4096
  uint64_t file_offset = 0;          // byte in one file that uses it
};

// A blob table entry with its device slot.
struct Blob {
  std::string id;  // 64 lower-case hex digits
  uint32_t chunk_size = 0;
  uint32_t chunk_count = 0;
  Compressor compressor = Compressor::none;
  Digester digester = Digester::blake3;
  uint32_t features = 0;           // ondisk::kBlob…
  uint64_t compressed_size = 0;    // bytes of the blob (nydus-rafs-v6.md 2.6)
  uint64_t uncompressed_size = 0;  // bytes of its cache image, multiple of 4096
  uint32_t toc_size = 0;           // 0 = unknown
  uint32_t ci_compressor = 0;      // as stored; see ci_codec()
  uint64_t ci_offset = 0;
  uint64_t ci_compressed_size = 0;
  uint64_t ci_uncompressed_size = 0;
  Digest toc_digest;
  Digest meta_digest;      // SEPARATE blobs
  uint64_t meta_size = 0;  // SEPARATE blobs
  bool encrypted = false;
  CipherKey key;
  uint32_t mapped_blkaddr = 0;  // block in the flat view

  bool has(uint32_t feature) const { return (features & feature) != 0; }
  // The blob that holds the chunk information: this one, or (SEPARATE) another.
  std::string meta_id() const;
  // Whether the chunk table of the bootstrap is not enough to find the stored bytes of a chunk.
  bool needs_chunk_information() const;
  // Bytes of chunk data at the start of the blob, as readers compute it (2.6).
  uint64_t compressed_data_size() const;
};

struct Tree {
  std::vector<Inode> inodes;  // [kRootInode] is the root directory
  std::vector<Chunk> chunks;
  std::vector<Blob> blobs;
  uint32_t chunk_size = 0x100000;
  uint32_t block_size = 4096;
  Compressor compressor = Compressor::zstd;  // as the superblock says; blobs have their own
  Digester digester = Digester::blake3;
  bool explicit_uid_gid = true;
  std::vector<InodeId> prefetch;  // pattern order; a directory = its whole subtree
  uint64_t flags = 0;             // as read from an image (ondisk::kRafs…); the writer computes its own
  std::vector<uint64_t> nids;     // as read from an image, by InodeId
};

// The inode a path names: relative or absolute, empty components left out; kNoInode if none does.
// Symlinks are not followed.
InodeId find_path(const Tree& tree, std::string_view path, InodeId root = kRootInode);
// Adds an inode with the attributes of one that is neither a directory nor a regular file: the format has
// further names for regular files only (nydus-rafs-v6.md 1.10).
InodeId copy_inode(Tree& tree, InodeId id);

// Encodes and decodes device numbers as EROFS stores them; false when major
// needs more than 12 or minor more than 20 bits.
bool encode_device(uint32_t major, uint32_t minor, uint32_t* rdev);
uint32_t device_major(uint32_t rdev);
uint32_t device_minor(uint32_t rdev);

// Directories' nlink (2 + sub-directories), files' nlink (names), parents.
void update_link_counts(Tree& tree);

}  // namespace erofs_format
