#include "mkfs/tree_builder.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "erofs-format/ondisk/erofs.h"
#include "mkfs/layer_marks.h"
#include "mkfs/limits.h"

namespace mkfs {

namespace {

constexpr uint16_t kImpliedDirectoryMode = S_IFDIR | 0755;

std::string_view parent_path(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

std::string_view last_name(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

Error refuse(Code code, std::string_view path, std::string_view why) {
  return make_error(code, fmt::format("/{}: {}", printable(path), why));
}

}  // namespace

TreeBuilder::TreeBuilder(const TreeOptions& options) : options_(options), index_(1024) {
  new_inode(kImpliedDirectoryMode);
  tree_.inodes[kRootInode].parent = kRootInode;
  tree_.inodes[kRootInode].implied = true;
}

InodeId TreeBuilder::new_inode(uint16_t mode) {
  Inode& inode = tree_.inodes.emplace_back();
  inode.mode = mode;
  if (S_ISDIR(mode)) inode.entries = std::make_unique<std::vector<DirEntry>>();
  return narrow<InodeId>(tree_.inodes.size() - 1);
}

// The slot that holds the name, or the free one where it belongs.
size_t TreeBuilder::slot_of(InodeId parent, std::string_view name) const {
  size_t mask = index_.size() - 1;
  size_t at = XXH3_64bits_withSeed(name.data(), name.size(), parent) & mask;
  for (;; at = (at + 1) & mask) {
    const Slot& slot = index_[at];
    if (slot.parent == kNoInode) return at;
    if (slot.parent == parent && (*tree_.inodes[parent].entries)[slot.position].name == name) return at;
  }
}

void TreeBuilder::grow_index() {
  std::vector<Slot> old = std::move(index_);
  index_.assign(old.size() * 2, Slot{});
  for (const Slot& slot : old) {
    if (slot.parent == kNoInode) continue;
    const std::string& name = (*tree_.inodes[slot.parent].entries)[slot.position].name;
    index_[slot_of(slot.parent, name)] = slot;
  }
}

InodeId TreeBuilder::find(InodeId parent, std::string_view name) const {
  const Slot& slot = index_[slot_of(parent, name)];
  return slot.parent == kNoInode ? kNoInode : (*tree_.inodes[parent].entries)[slot.position].inode;
}

void TreeBuilder::put(InodeId parent, std::string_view name, InodeId child) {
  auto& entries = *tree_.inodes[parent].entries;
  Slot& slot = index_[slot_of(parent, name)];
  if (slot.parent != kNoInode) {
    entries[slot.position].inode = child;
    return;
  }
  slot = {parent, narrow<uint32_t>(entries.size())};
  entries.push_back({std::string(name), child});
  if (++names_ * 2 > index_.size()) grow_index();
}

InodeId TreeBuilder::find_path(std::string_view path) const {
  InodeId at = kRootInode;
  while (!path.empty()) {
    if (!tree_.inodes[at].is_directory()) return kNoInode;
    size_t slash = path.find('/');
    at = find(at, path.substr(0, slash));
    if (at == kNoInode || slash == path.npos) return at;
    path.remove_prefix(slash + 1);
  }
  return at;
}

// The directory `path`, made up where the source has not named it.
Result<InodeId> TreeBuilder::parent_of(std::string_view path) {
  if (path == last_parent_path_) return last_parent_;
  InodeId at = kRootInode;
  size_t depth = 0;
  for (std::string_view rest = path; !rest.empty();) {
    if (++depth > kMaxDepth)
      return refuse(Code::too_large, path, fmt::format("deeper than {} directories", kMaxDepth));
    size_t slash = rest.find('/');
    std::string_view name = rest.substr(0, slash);
    InodeId next = find(at, name);
    if (next == kNoInode) {
      next = new_inode(kImpliedDirectoryMode);
      tree_.inodes[next].implied = true;
      tree_.inodes[next].parent = at;
      put(at, name, next);
    } else if (!tree_.inodes[next].is_directory()) {
      return refuse(Code::corrupt, path, fmt::format("{} is not a directory", printable(name)));
    }
    at = next;
    rest = slash == rest.npos ? std::string_view() : rest.substr(slash + 1);
  }
  last_parent_path_ = path;
  last_parent_ = at;
  return at;
}

void TreeBuilder::set_attributes(Inode& inode, const SourceEntry& entry) const {
  inode.implied = false;
  inode.mode = entry.mode;
  inode.uid = options_.all_root ? 0 : entry.uid;
  inode.gid = options_.all_root ? 0 : entry.gid;
  inode.rdev = S_ISCHR(entry.mode) || S_ISBLK(entry.mode) ? entry.rdev : 0;
  inode.mtime = entry.mtime;
  inode.mtime_nsec = entry.mtime_nsec;
  if (entry.mtime >= options_.latest_mtime) {
    inode.mtime = options_.latest_mtime;
    inode.mtime_nsec = 0;
  }
  inode.xattrs = entry.xattrs.empty() ? nullptr : std::make_unique<Xattrs>(entry.xattrs);
  if (options_.whiteouts == WhiteoutSpec::overlayfs && inode.xattrs) {
    inode.xattrs->erase("trusted.overlay.opaque");
    if (inode.xattrs->empty()) inode.xattrs = nullptr;
  }
}

// A single layer has nothing below it: what marks a removal hides nothing and is left out.
bool TreeBuilder::is_whiteout(const SourceEntry& entry) {
  if (options_.whiteouts == WhiteoutSpec::oci) return is_oci_whiteout(entry.path);
  if (options_.whiteouts != WhiteoutSpec::overlayfs) return false;
  bool whiteout = entry.hard_link_to.empty() ? S_ISCHR(entry.mode) && entry.rdev == 0
                                             : device_whiteouts_.contains(entry.hard_link_to);
  if (whiteout)
    device_whiteouts_.insert(entry.path);
  else
    device_whiteouts_.erase(entry.path);
  return whiteout;
}

Result<InodeId> TreeBuilder::add_directory(InodeId parent, std::string_view name, const SourceEntry& entry) {
  InodeId id = find(parent, name);
  if (id == kNoInode || !tree_.inodes[id].is_directory()) {
    id = new_inode(entry.mode);
    tree_.inodes[id].parent = parent;
    put(parent, name, id);
    last_parent_path_.clear();
    last_parent_ = kRootInode;
  }
  set_attributes(tree_.inodes[id], entry);
  return id;
}

InodeId TreeBuilder::new_link_below(const SourceEntry& entry) {
  InodeId id = new_inode(S_IFREG);
  tree_.inodes[id].xattrs = std::make_unique<Xattrs>(Xattrs{{kLinkBelow, entry.hard_link_to}});
  return id;
}

Result<InodeId> TreeBuilder::add_hard_link(InodeId parent, std::string_view name, const SourceEntry& entry) {
  InodeId target = find_path(entry.hard_link_to);
  if (target == kNoInode && options_.to_merge && !entry.hard_link_to.empty()) target = new_link_below(entry);
  if (target == kNoInode && options_.whiteouts == WhiteoutSpec::oci && is_oci_whiteout(entry.hard_link_to))
    return refuse(Code::corrupt, entry.path,
                  fmt::format("hard link to {}, which is a whiteout and has no content",
                              printable(entry.hard_link_to)));
  if (target == kNoInode)
    return refuse(
        Code::corrupt, entry.path,
        fmt::format("hard link to {}, which does not come before it", printable(entry.hard_link_to)));
  if (tree_.inodes[target].is_directory())
    return refuse(Code::corrupt, entry.path,
                  fmt::format("hard link to the directory {}", printable(entry.hard_link_to)));
  // The format has further names for regular files only (nydus-rafs-v6.md 1.10).
  if (!tree_.inodes[target].is_regular()) target = copy_inode(tree_, target);
  put(parent, name, target);
  return target;
}

Result<InodeId> TreeBuilder::add(const SourceEntry& entry) {
  if (entry.path.empty()) {
    if (!S_ISDIR(entry.mode)) return refuse(Code::corrupt, "", "the root is not a directory");
    set_attributes(tree_.inodes[kRootInode], entry);
    return kRootInode;
  }
  std::string_view name = last_name(entry.path);
  if (name.size() > ondisk::kMaxNameLength)
    return refuse(Code::too_large, entry.path,
                  fmt::format("name of {} bytes, {} are possible", name.size(), ondisk::kMaxNameLength));
  if (is_whiteout(entry)) return kNoInode;
  TRY_ASSIGN(InodeId parent, parent_of(parent_path(entry.path)));
  if (entry.hard_link_to.empty() && S_ISDIR(entry.mode)) return add_directory(parent, name, entry);
  InodeId old = find(parent, name);
  if (old != kNoInode && tree_.inodes[old].is_directory() && !tree_.inodes[old].entries->empty())
    return refuse(Code::corrupt, entry.path, "replaces a directory that is not empty");
  if (!entry.hard_link_to.empty()) return add_hard_link(parent, name, entry);

  InodeId id = new_inode(entry.mode);
  set_attributes(tree_.inodes[id], entry);
  tree_.inodes[id].size = S_ISREG(entry.mode) ? entry.size : S_ISLNK(entry.mode) ? entry.target.size() : 0;
  if (S_ISLNK(entry.mode)) tree_.inodes[id].target = std::make_unique<std::string>(entry.target);
  put(parent, name, id);
  return id;
}

Tree TreeBuilder::finish() {
  index_ = std::vector<Slot>();  // {} would keep the memory
  for (auto& inode : tree_.inodes) {
    if (!inode.entries) continue;
    if (inode.implied && options_.to_merge) inode.xattrs = std::make_unique<Xattrs>(Xattrs{{kImplied, "y"}});
    std::sort(inode.entries->begin(), inode.entries->end(),
              [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
    inode.entries->shrink_to_fit();
  }
  renumber();
  update_link_counts(tree_);
  return std::move(tree_);
}

// What later entries replaced is no longer reachable; ids are given anew in visiting order.
void TreeBuilder::renumber() {
  std::vector<InodeId> new_id(tree_.inodes.size(), kNoInode);
  std::vector<InodeId> order = {kRootInode};
  new_id[kRootInode] = kRootInode;
  for (size_t i = 0; i < order.size(); i++) {
    Inode& inode = tree_.inodes[order[i]];
    if (!inode.entries) continue;
    for (auto& entry : *inode.entries) {
      if (new_id[entry.inode] == kNoInode) {
        new_id[entry.inode] = narrow<InodeId>(order.size());
        order.push_back(entry.inode);
      }
      entry.inode = new_id[entry.inode];
    }
  }
  auto kept = narrow<InodeId>(order.size());
  order = std::vector<InodeId>();
  InodeId end = kept;
  for (InodeId& id : new_id)
    if (id == kNoInode) id = end++;
  // In place: a second list would double what the tree needs.
  for (InodeId i = 0; i < new_id.size(); i++) {
    while (new_id[i] != i) {
      std::swap(tree_.inodes[i], tree_.inodes[new_id[i]]);
      std::swap(new_id[i], new_id[new_id[i]]);
    }
  }
  tree_.inodes.resize(kept);
}

}  // namespace mkfs
