// Entries of a source, in any order, become the tree of an image.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"
#include "mkfs/source.h"

namespace mkfs {

// What names marked as removed mean (nydus-rafs-v6.md 1.14).
enum class WhiteoutSpec { oci, overlayfs, none };

struct TreeOptions {
  WhiteoutSpec whiteouts = WhiteoutSpec::oci;
  bool all_root = false;
  int64_t latest_mtime = std::numeric_limits<int64_t>::max();  // --source-date-epoch
  bool to_merge = false;  // a layer, which says in xattrs what only a merge can resolve (layer_marks.h)
};

class TreeBuilder {
 public:
  explicit TreeBuilder(const TreeOptions& options);

  // Adds one entry; a path that was there before is replaced, as tar extracts it. Parents that the
  // source has not named (yet) become directories 0755 of root. Returns the inode, or kNoInode when
  // the entry is a whiteout that has nothing to hide. Messages name the path.
  Result<InodeId> add(const SourceEntry& entry);

  Inode& inode(InodeId id) { return tree_.inodes[id]; }
  // Sorts, drops what was replaced, counts links.
  Tree finish();

 private:
  struct Slot {
    InodeId parent = kNoInode;
    uint32_t position = 0;  // in the parent's entries
  };

  Result<InodeId> add_directory(InodeId parent, std::string_view name, const SourceEntry& entry);
  Result<InodeId> add_hard_link(InodeId parent, std::string_view name, const SourceEntry& entry);
  Result<InodeId> parent_of(std::string_view path);
  void set_attributes(Inode& inode, const SourceEntry& entry) const;
  bool is_whiteout(const SourceEntry& entry);
  void renumber();
  InodeId new_link_below(const SourceEntry& entry);

  InodeId find(InodeId parent, std::string_view name) const;
  InodeId find_path(std::string_view path) const;
  void put(InodeId parent, std::string_view name, InodeId child);
  size_t slot_of(InodeId parent, std::string_view name) const;
  void grow_index();
  InodeId new_inode(uint16_t mode);

  Tree tree_;
  TreeOptions options_;
  // overlayfs makes its whiteouts as links to one device, and tar stores them so.
  std::set<std::string, std::less<>> device_whiteouts_;
  // Open addressing over all names: a lookup is one hash, whatever the order of the entries.
  std::vector<Slot> index_;
  size_t names_ = 0;
  // The directory of the entry before: neighbours usually share it.
  std::string last_parent_path_;
  InodeId last_parent_ = kRootInode;
};

}  // namespace mkfs
