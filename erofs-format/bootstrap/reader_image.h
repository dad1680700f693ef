// What the parts of the bootstrap reader share: the bytes, what the superblocks said about
// them, which of them are already spoken for. Private to this folder.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"
#include "erofs-format/ondisk/erofs.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format::reader {

// Longer paths are refused: the text form of a deep tree grows with depth times depth.
constexpr uint32_t kMaxPathLength = 1u << 20;
// Notes beyond this many say nothing new.
constexpr size_t kMaxNotes = 100;

// Which 32-byte slots of the image belong to something. Everything in a bootstrap
// starts on a slot boundary, so two owners of one slot are two owners of its bytes.
// It also bounds the work: bytes are parsed once.
class ExtentMap {
 public:
  explicit ExtentMap(uint64_t image_size) : slots_(image_size / ondisk::kSlotSize, false) {}
  // Takes [offset, offset + size), which lies in the image; false when a part is taken.
  bool claim(uint64_t offset, uint64_t size);
  bool taken(uint64_t offset) const { return slots_[offset / ondisk::kSlotSize]; }

 private:
  std::vector<bool> slots_;
};

struct Image {
  ByteView bytes;
  const std::string& name;
  std::vector<std::string>* notes;  // null = nobody asks
  ExtentMap extents;

  uint64_t meta_offset = 0;
  uint32_t root_nid = 0;
  uint64_t inos = 0;
  uint32_t feature_compat = 0;
  int64_t build_time = 0;
  uint32_t build_time_nsec = 0;
  uint32_t device_count = 0;
  uint64_t blob_table_offset = 0;
  uint64_t chunk_table_offset = 0;
  uint64_t chunk_table_size = 0;
  uint64_t prefetch_table_offset = 0;
  uint64_t prefetch_table_size = 0;
  uint32_t block_size = 4096;

  uint64_t size() const { return bytes.size(); }
  // "NAME: byte N: WHAT"
  Error corrupt(uint64_t offset, std::string_view what) const;
  Error unsupported(std::string_view feature) const;
  void note(uint64_t offset, std::string_view what) const;
  // Takes a range for `owner`, or says who made an image in which two own it.
  Result<void> claim(uint64_t offset, uint64_t size, std::string_view owner);
};

// One way to break a rule: the first whose `broken` is true is reported.
struct Rule {
  bool broken;
  uint64_t offset;
  std::string_view what;
};
Result<void> check_rules(const Image& image, std::initializer_list<Rule> rules);

// Of a chunk, what the chunk lists of files are compared with.
struct ChunkPlace {
  uint32_t blob_index = 0;
  uint32_t index = 0;
  uint32_t uncompressed_size = 0;
  uint64_t uncompressed_offset = 0;
};

// Chunk table of the bootstrap by (blob, index in blob).
class ChunkIndex {
 public:
  using Infos = std::span<const ondisk::rafs_chunk_info>;
  // Sorts; false when two entries have the same key, which are then *first and *second.
  bool build(Infos infos, ChunkId* first, ChunkId* second);
  // kNoChunk when there is none.
  ChunkId find(uint32_t blob_index, uint32_t index) const;
  ChunkPlace operator[](ChunkId id) const;
  // `chunks` was read from the stored table, which is not looked at any more.
  void look_into(const std::vector<Chunk>& chunks) { read_ = &chunks; }
  const std::vector<ChunkId>& sorted() const { return sorted_; }
  // A chunk that is not in the table: tarfs images do without. Its id follows those of the table.
  ChunkId add(const Chunk& chunk);
  const std::vector<Chunk>& added() const { return added_; }
  static constexpr ChunkId kNoChunk = UINT32_MAX;

 private:
  uint64_t key(ChunkId id) const;

  Infos infos_;
  const std::vector<Chunk>* read_ = nullptr;
  std::vector<ChunkId> sorted_;
  std::vector<Chunk> added_;
  std::unordered_map<uint64_t, ChunkId> added_by_key_;
};

// The parts, in the order they run.
Result<void> parse_superblocks(Image& image, Tree& tree);
Result<void> parse_blobs(Image& image, Tree& tree);
// With `keep` the tree gets the chunks.
Result<void> parse_chunk_infos(Image& image, Tree& tree, ChunkIndex& index, bool keep);

// An inode as stored, both forms.
struct InodeHead {
  uint64_t offset = 0;
  uint64_t end = 0;  // of inode and xattrs: where an inline tail starts
  uint16_t layout = 0;
  uint32_t xattr_size = 0;
  uint32_t data = 0;  // i_u
  uint64_t size = 0;
};
// Reads everything about the inode at `offset` but the entries of a directory.
Result<InodeHead> parse_inode(Image& image, const Tree& tree, ChunkIndex& chunks, uint64_t offset,
                              Inode& inode);
Result<void> parse_xattrs(const Image& image, uint64_t offset, uint64_t size, Inode& inode);

// Where the flat data of a directory or symlink lies: full blocks, then the rest.
struct FlatData {
  ByteView full;
  ByteView tail;
};
Result<FlatData> claim_flat_data(Image& image, const InodeHead& head, std::string_view owner);

// The entries of one directory, as stored.
struct RawEntry {
  std::string_view name;
  uint64_t nid = 0;
  uint64_t offset = 0;  // byte of the dirent, for messages
  uint8_t file_type = 0;
};
// All entries in order, "." and ".." among them; names are checked, nids are not.
Result<void> parse_directory(Image& image, const InodeHead& head, std::vector<RawEntry>& entries);

}  // namespace erofs_format::reader
