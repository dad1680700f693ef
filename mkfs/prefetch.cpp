#include "mkfs/prefetch.h"

#include <algorithm>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"

namespace mkfs {

namespace {

constexpr uint64_t kMaxPatternBytes = 64 << 20;

bool lies_below(std::string_view path, std::string_view ancestor) {
  if (ancestor == "/") return true;
  return path.starts_with(ancestor) && (path.size() == ancestor.size() || path[ancestor.size()] == '/');
}

// The path without empty components and dots.
std::string cleaned(std::string_view path) {
  std::string clean;
  for (size_t start = 1; start < path.size();) {
    size_t slash = std::min(path.find('/', start), path.size());
    std::string_view name = path.substr(start, slash - start);
    if (!name.empty() && name != ".") clean.append("/").append(name);
    start = slash + 1;
  }
  return clean.empty() ? "/" : clean;
}

void warn(std::string_view line, std::string_view why) {
  log_line(LogLevel::warn, "prefetch", "'" + printable(line) + "' " + std::string(why));
}

}  // namespace

std::vector<std::string> parse_prefetch_patterns(std::string_view text) {
  std::vector<std::string> patterns;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (line.size() > 1 && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (line[0] != '/' || line.find('\0') != line.npos) {
      warn(line, "is no absolute path, left out");
      continue;
    }
    std::string path = cleaned(line);
    auto covers = [&](const std::string& earlier) { return lies_below(path, earlier); };
    if (std::any_of(patterns.begin(), patterns.end(), covers)) {
      warn(line, "lies below an earlier path, left out");
    } else {
      patterns.push_back(std::move(path));
    }
  }
  return patterns;
}

Result<std::vector<std::string>> read_prefetch_patterns(int fd, const std::string& name) {
  TRY_ASSIGN(Buffer text, os::read_file(fd, name, kMaxPatternBytes));
  return parse_prefetch_patterns(as_text(text));
}

std::vector<InodeId> resolve_prefetch(const Tree& tree, const std::vector<std::string>& patterns) {
  std::vector<InodeId> inodes;
  for (const std::string& pattern : patterns)
    if (InodeId inode = find_path(tree, pattern); inode != kNoInode) inodes.push_back(inode);
  return inodes;
}

}  // namespace mkfs
