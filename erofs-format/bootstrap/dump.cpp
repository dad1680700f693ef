#include "erofs-format/bootstrap/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace erofs_format {

namespace {

const char* type_name(uint16_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "reg";
    case S_IFDIR: return "dir";
    case S_IFCHR: return "chr";
    case S_IFBLK: return "blk";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "sock";
    default: return "lnk";
  }
}

// `text` is printable(): only quotes and backslashes are left to escape.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += '"';
}

// One step of the listing: an entry itself, or what lies below it. "a-b" sorts before "a/x", so the
// two steps of a directory are apart. Sorted as printed.
struct Step {
  std::string key;
  const DirEntry* entry;
  bool below;
};

std::vector<Step> steps_of(const Tree& tree, const Inode& directory) {
  std::vector<Step> steps;
  for (const DirEntry& entry : *directory.entries) {
    steps.push_back({printable(entry.name), &entry, false});
    if (tree.inodes[entry.inode].is_directory()) steps.push_back({printable(entry.name) + "/", &entry, true});
  }
  std::sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.key < b.key; });
  return steps;
}

class Dump {
 public:
  using Line = std::function<Result<void>(std::string_view)>;
  Dump(const Tree& tree, const ContentDigest& content, const Line& line)
      : tree_(tree), content_(content), line_(line) {}

  Result<void> run();

 private:
  struct Level {
    std::vector<Step> steps;
    size_t next = 0;
    size_t path_length = 0;
  };

  Result<void> print(InodeId id, const std::string& path);
  Result<void> add_content(InodeId id, const std::string& path, std::string& out);
  void add_chunks(const Inode& inode, std::string& out) const;
  void add_xattrs(const Inode& inode, std::string& out) const;

  const Tree& tree_;
  const ContentDigest& content_;
  const Line& line_;
  std::vector<Level> levels_;
  std::unordered_map<InodeId, std::string> first_path_;  // of inodes with several names
};

void Dump::add_chunks(const Inode& inode, std::string& out) const {
  out += ", \"chunks\": [";
  for (size_t i = 0; i < inode.chunks.size(); i++) {
    const Chunk& chunk = tree_.chunks[inode.chunks[i]];
    fmt::format_to(std::back_inserter(out),
                   "{}{{\"blob\": {}, \"index\": {}, \"size\": {}, \"digest\": \"{}\"}}", i == 0 ? "" : ", ",
                   quoted(tree_.blobs[chunk.blob_index].id), chunk.index, chunk.uncompressed_size,
                   to_hex(chunk.digest));
  }
  out += "]";
}

void Dump::add_xattrs(const Inode& inode, std::string& out) const {
  if (!inode.xattrs || inode.xattrs->empty()) return;
  const char* separator = ", \"xattrs\": {";
  for (const auto& [name, value] : *inode.xattrs) {
    fmt::format_to(std::back_inserter(out), "{}{}: \"{}\"", separator, quoted(name), to_hex(as_bytes(value)));
    separator = ", ";
  }
  out += "}";
}

Result<void> Dump::add_content(InodeId id, const std::string& path, std::string& out) {
  const Inode& inode = tree_.inodes[id];
  fmt::format_to(std::back_inserter(out), ", \"size\": {}, \"nlink\": {}", inode.size, inode.nlink);
  if (!content_) {
    add_chunks(inode, out);
    return {};
  }
  auto digest = content_(id);
  if (!digest) return std::move(digest.error()).within(printable(path));
  fmt::format_to(std::back_inserter(out), ", \"sha256\": \"{}\"", to_hex(*digest));
  return {};
}

Result<void> Dump::print(InodeId id, const std::string& path) {
  const Inode& inode = tree_.inodes[id];
  std::string out = fmt::format(
      "{{\"path\": {}, \"type\": \"{}\", \"mode\": \"{:04o}\", \"uid\": {}, \"gid\": {}, \"mtime\": "
      "\"{}.{:09}\"",
      quoted(path), type_name(inode.mode), inode.mode & 07777, inode.uid, inode.gid, inode.mtime,
      inode.mtime_nsec);
  if (inode.is_regular()) TRY(add_content(id, path, out));
  if (inode.is_symlink()) fmt::format_to(std::back_inserter(out), ", \"target\": {}", quoted(*inode.target));
  if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode))
    fmt::format_to(std::back_inserter(out), ", \"rdev\": \"{}:{}\"", device_major(inode.rdev),
                   device_minor(inode.rdev));
  if (!inode.is_directory() && inode.nlink > 1)
    fmt::format_to(std::back_inserter(out), ", \"same\": {}",
                   quoted(first_path_.try_emplace(id, path).first->second));
  add_xattrs(inode, out);
  out += "}";
  return line_(out);
}

Result<void> Dump::run() {
  TRY(print(kRootInode, "/"));
  std::string path;
  levels_.push_back({steps_of(tree_, tree_.inodes[kRootInode]), 0, 0});
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.steps.size()) {
      levels_.pop_back();
      continue;
    }
    const Step& step = level.steps[level.next++];
    path.resize(level.path_length);
    path.append("/").append(step.entry->name);
    if (step.below) {
      levels_.push_back({steps_of(tree_, tree_.inodes[step.entry->inode]), 0, path.size()});
    } else {
      TRY(print(step.entry->inode, path));
    }
  }
  return {};
}

}  // namespace

Result<void> dump_tree(const Tree& tree, const ContentDigest& content,
                       const std::function<Result<void>(std::string_view line)>& line) {
  return Dump(tree, content, line).run();
}

}  // namespace erofs_format
