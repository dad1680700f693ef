#include "mkfs/image_argument.h"

#include <unistd.h>

#include "erofs-format/bootstrap/bootstrap_reader.h"

namespace mkfs {

Result<std::string> image_path_argument(const Arguments& arguments) {
  const auto& operands = arguments.positional();
  auto option = arguments.value("bootstrap");
  if (operands.size() + (option ? 1 : 0) != 1) return usage_error("give one BOOTSTRAP");
  std::string path = option ? *option : operands[0];
  if (access(path.c_str(), F_OK) == 0 || path.find('/') != path.npos) return path;
  for (const std::string& directory : arguments.values("blob-dir")) {
    std::string blob = directory;
    blob.append("/").append(path);
    if (access(blob.c_str(), F_OK) == 0) return blob;
  }
  return path;
}

Result<Tree> open_image_argument(const Arguments& arguments, std::vector<std::string>* notes) {
  TRY_ASSIGN(std::string path, image_path_argument(arguments));
  return open_bootstrap(path, notes);
}

std::string directory_path(const Tree& tree, InodeId id) {
  std::vector<const std::string*> names;
  for (; id != kRootInode; id = tree.inodes[id].parent)
    for (const DirEntry& entry : *tree.inodes[tree.inodes[id].parent].entries)
      if (entry.inode == id) names.push_back(&entry.name);
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) path.append("/").append(**name);
  return path.empty() ? "/" : path;
}

Result<void> walk_paths(const Tree& tree, const PathVisitor& visit) {
  struct Level {
    InodeId directory;
    size_t next;
    size_t path_length;
  };
  std::vector<Level> levels = {{kRootInode, 0, 0}};
  std::string path;
  while (!levels.empty()) {
    Level& level = levels.back();
    const auto& entries = *tree.inodes[level.directory].entries;
    if (level.next == entries.size()) {
      levels.pop_back();
      continue;
    }
    const DirEntry& entry = entries[level.next++];
    path.resize(level.path_length);
    path.append("/").append(entry.name);
    TRY(visit(path, level.directory, entry.inode));
    if (tree.inodes[entry.inode].is_directory()) levels.push_back({entry.inode, 0, path.size()});
  }
  return {};
}

}  // namespace mkfs
