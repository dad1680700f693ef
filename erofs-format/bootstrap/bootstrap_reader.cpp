// The walk from the root: every inode once, in a queue of directories, no recursion.
#include "erofs-format/bootstrap/bootstrap_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/os.h"
#include "erofs-format/bootstrap/encoding.h"
#include "erofs-format/bootstrap/reader_image.h"

namespace erofs_format {

using namespace ondisk;
using namespace reader;

namespace {

class Walk {
 public:
  // With `keep` the tree gets inodes, entries and prefetch table.
  Walk(Image& image, Tree& tree, ChunkIndex& chunks, bool keep)
      : image_(image),
        tree_(tree),
        chunks_(chunks),
        keep_(keep),
        by_slot_(image.size() / kSlotSize, kNoInode) {
    // A list that grows is in memory twice. The number is what the image says of itself.
    size_t inodes = std::min<uint64_t>(image.inos, by_slot_.size());
    seen_.reserve(inodes);
    if (!keep) return;
    tree.inodes.reserve(inodes);
    tree.nids.reserve(inodes);
  }

  Result<void> run();

 private:
  // What the checks need of an inode.
  struct Seen {
    uint64_t nid = 0;
    uint32_t nlink = 0;
    uint32_t names = 0;  // of a directory: sub-directories + 2
    uint16_t mode = 0;
    bool is_directory() const { return S_ISDIR(mode); }
  };
  struct Directory {
    InodeId id = kNoInode;
    InodeHead head;
    uint64_t nid = 0;
    uint64_t parent_nid = 0;
    uint32_t path_length = 0;
  };

  Result<uint64_t> offset_of(uint64_t nid, uint64_t named_at) const;
  Result<InodeId> add_inode(uint64_t nid, uint64_t named_at, InodeId parent, InodeHead& head);
  Result<void> read_directory(const Directory& directory);
  Result<void> check_dot(const Directory& directory, const RawEntry& entry, bool& self, bool& parent) const;
  Result<void> add_entry(const Directory& directory, const RawEntry& entry, std::vector<DirEntry>& entries);
  Result<void> check_links() const;
  Result<void> read_prefetch();
  void note_unused() const;

  Image& image_;
  Tree& tree_;
  ChunkIndex& chunks_;
  bool keep_;
  std::vector<InodeId> by_slot_;  // inode that starts at a slot
  std::vector<Seen> seen_;        // by InodeId
  std::vector<Directory> queue_;
  std::vector<RawEntry> raw_;  // of the directory at hand
  uint64_t name_count_ = 1;
};

Result<uint64_t> Walk::offset_of(uint64_t nid, uint64_t named_at) const {
  uint64_t slots = (image_.size() - image_.meta_offset) / kSlotSize;
  if (nid >= slots) return image_.corrupt(named_at, fmt::format("nid {} lies outside the image", nid));
  return image_.meta_offset + nid * kSlotSize;
}

Result<InodeId> Walk::add_inode(uint64_t nid, uint64_t named_at, InodeId parent, InodeHead& head) {
  TRY_ASSIGN(uint64_t offset, offset_of(nid, named_at));
  Inode inode;
  TRY_ASSIGN(head, parse_inode(image_, tree_, chunks_, offset, inode));
  auto id = static_cast<InodeId>(seen_.size());
  by_slot_[offset / kSlotSize] = id;
  seen_.push_back({nid, inode.nlink, inode.is_directory() ? 2u : 0u, inode.mode});
  if (!keep_) return id;
  if (inode.is_directory()) inode.parent = parent;
  tree_.inodes.push_back(std::move(inode));
  tree_.nids.push_back(nid);
  return id;
}

Result<void> Walk::check_dot(const Directory& directory, const RawEntry& entry, bool& self,
                             bool& parent) const {
  bool is_self = entry.name == ".";
  (is_self ? self : parent) = true;
  if (entry.nid != (is_self ? directory.nid : directory.parent_nid))
    return image_.corrupt(entry.offset, fmt::format("directory: nid of \"{}\" is wrong", entry.name));
  if (entry.file_type != kFtDirectory)
    return image_.corrupt(entry.offset + offsetof(erofs_dirent, file_type),
                          fmt::format("directory: file_type of \"{}\" is not directory", entry.name));
  return {};
}

Result<void> Walk::add_entry(const Directory& directory, const RawEntry& entry,
                             std::vector<DirEntry>& entries) {
  TRY_ASSIGN(uint64_t offset, offset_of(entry.nid, entry.offset));
  InodeId id = by_slot_[offset / kSlotSize];
  if (id != kNoInode && seen_[id].is_directory())
    return image_.corrupt(entry.offset, "directory: nid names a directory that has a name already");
  if (id == kNoInode) {
    InodeHead head;
    TRY_ASSIGN(id, add_inode(entry.nid, entry.offset, directory.id, head));
    if (seen_[id].is_directory()) {
      auto length = narrow<uint32_t>(directory.path_length + 1 + entry.name.size());
      if (length > kMaxPathLength)
        return make_error(Code::too_large, fmt::format("{}: byte {}: path is longer than {} bytes",
                                                       image_.name, entry.offset, kMaxPathLength));
      seen_[directory.id].names++;
      queue_.push_back({id, head, entry.nid, directory.nid, length});
    }
  }
  if (!seen_[id].is_directory()) seen_[id].names++;
  if (entry.file_type != file_type_of(seen_[id].mode))
    return image_.corrupt(entry.offset + offsetof(erofs_dirent, file_type),
                          "directory: file_type is not that of the inode");
  name_count_++;
  if (keep_) entries.push_back({std::string(entry.name), id});
  return {};
}

Result<void> Walk::read_directory(const Directory& directory) {
  raw_.clear();
  TRY(parse_directory(image_, directory.head, raw_));
  auto entries = std::make_unique<std::vector<DirEntry>>();
  if (keep_ && raw_.size() > 2) entries->reserve(raw_.size() - 2);
  bool self = false, parent = false;
  for (const RawEntry& entry : raw_) {
    if (entry.name == "." || entry.name == "..") {
      TRY(check_dot(directory, entry, self, parent));
    } else {
      TRY(add_entry(directory, entry, *entries));
    }
  }
  if (!self || !parent)
    return image_.corrupt(directory.head.offset, "directory: entries \".\" and \"..\" are not both there");
  if (keep_) tree_.inodes[directory.id].entries = std::move(entries);
  return {};
}

Result<void> Walk::check_links() const {
  for (const Seen& inode : seen_)
    if (inode.nlink != inode.names)
      return image_.corrupt(
          image_.meta_offset + inode.nid * kSlotSize,
          fmt::format("inode: i_nlink is {} where the tree has {}", inode.nlink, inode.names));
  // RAFS counts names, EROFS inodes.
  if (image_.inos != name_count_ && image_.inos != seen_.size())
    return image_.corrupt(
        kSuperOffset + offsetof(erofs_super_block, inos),
        fmt::format("superblock: inos is {} where the tree has {} names", image_.inos, name_count_));
  return {};
}

Result<void> Walk::read_prefetch() {
  uint64_t count = image_.prefetch_table_size / sizeof(le32);
  auto nids = structs_at<le32>(image_.bytes, image_.prefetch_table_offset, count);
  for (size_t i = 0; i < nids.size() && nids[i] != 0; i++) {
    uint64_t at = image_.prefetch_table_offset + i * sizeof(le32);
    TRY_ASSIGN(uint64_t offset, offset_of(nids[i], at));
    InodeId id = by_slot_[offset / kSlotSize];
    if (id == kNoInode) return image_.corrupt(at, "prefetch table: nid is not that of an inode");
    if (keep_) tree_.prefetch.push_back(id);
  }
  return {};
}

void Walk::note_unused() const {
  if (!image_.notes) return;
  for (uint64_t at = 0; at < image_.size(); at++)
    if (image_.bytes[at] != 0 && !image_.extents.taken(at)) return image_.note(at, "unused bytes are not 0");
}

Result<void> Walk::run() {
  Directory root;
  root.nid = root.parent_nid = image_.root_nid;
  uint64_t root_field = kSuperOffset + offsetof(erofs_super_block, root_nid);
  TRY_ASSIGN(root.id, add_inode(root.nid, root_field, kRootInode, root.head));
  if (!seen_[kRootInode].is_directory())
    return image_.corrupt(root_field, "superblock: root_nid is not that of a directory");
  queue_.push_back(root);
  while (!queue_.empty()) {
    Directory next = queue_.back();
    queue_.pop_back();
    TRY(read_directory(next));
  }
  TRY(check_links());
  TRY(read_prefetch());
  note_unused();
  return {};
}

}  // namespace

// `spent`: the same bytes, where the memory of what was read may be freed; or empty.
static Result<Tree> read(ByteView bytes, const std::string& name, std::vector<std::string>* notes, bool keep,
                         MutableBytes spent = {}) {
  if (bytes.size() > kMaxBootstrapSize)
    return make_error(Code::too_large,
                      fmt::format("{}: bootstrap is larger than {} bytes", name, kMaxBootstrapSize));
  Image image{bytes, name, notes, ExtentMap(bytes.size())};
  Tree tree;
  ChunkIndex chunks;
  TRY(parse_superblocks(image, tree));
  TRY(parse_blobs(image, tree));
  TRY(parse_chunk_infos(image, tree, chunks, keep));
  if (!spent.empty() && image.chunk_table_size != 0) {
    chunks.look_into(tree.chunks);
    os::discard(spent.subspan(image.chunk_table_offset, image.chunk_table_size));
  }
  TRY(Walk(image, tree, chunks, keep).run());
  if (keep) tree.chunks.insert(tree.chunks.end(), chunks.added().begin(), chunks.added().end());
  return tree;
}

Result<Tree> read_bootstrap(ByteView bytes, const std::string& name, std::vector<std::string>* notes) {
  return read(bytes, name, notes, true);
}

Result<Tree> take_tree(Buffer bytes, const std::string& name) {
  return read(bytes, name, nullptr, true, bytes);
}

Result<std::vector<Chunk>> take_chunks(Buffer bytes, const std::string& name) {
  Image image{bytes, name, nullptr, ExtentMap(bytes.size())};
  Tree tree;
  TRY(parse_superblocks(image, tree));
  TRY(parse_blobs(image, tree));
  os::discard(MutableBytes(bytes).first(image.chunk_table_offset));
  ChunkIndex index;
  TRY(parse_chunk_infos(image, tree, index, true));
  return std::move(tree.chunks);
}

Result<void> check_bootstrap(ByteView bytes, const std::string& name) {
  TRY(read(bytes, name, nullptr, false));
  return {};
}

}  // namespace erofs_format
