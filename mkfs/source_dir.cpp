#include "mkfs/source_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "erofs-format/base/os.h"
#include "erofs-format/ondisk/erofs.h"
#include "mkfs/limits.h"

namespace mkfs {

namespace {

struct Name {
  std::string text;
  uint8_t type = DT_UNKNOWN;  // a hint that saves a call; what counts is said by the open file
};

struct Directory {
  os::UniqueFd fd;
  std::string path;
  std::vector<Name> names;  // sorted, still to visit from `next`
  size_t next = 0;
};

// How to ask for the xattrs of a descriptor: one that only names a file (O_PATH) has no xattr calls of its
// own, but /proc has a path for it.
class XattrAccess {
 public:
  XattrAccess(int fd, uint32_t mode) : fd_(fd) {
    if (!S_ISREG(mode) && !S_ISDIR(mode)) path_ = fmt::format("/proc/self/fd/{}", fd);
  }
  ssize_t list(MutableBytes into) const {
    auto* names = reinterpret_cast<char*>(into.data());
    return path_.empty() ? ::flistxattr(fd_, names, into.size())
                         : ::listxattr(path_.c_str(), names, into.size());
  }
  ssize_t get(const char* name, MutableBytes into) const {
    return path_.empty() ? ::fgetxattr(fd_, name, into.data(), into.size())
                         : ::getxattr(path_.c_str(), name, into.data(), into.size());
  }

 private:
  int fd_;
  std::string path_;
};

class DirectorySource final : public Source {
 public:
  DirectorySource(std::string top, DirectoryOptions options)
      : top_(std::move(top)), options_(std::move(options)) {}
  Result<void> open();
  Result<bool> next(SourceEntry& entry) override;
  Result<size_t> read(MutableBytes into) override;

 private:
  Result<bool> next_of_walk(SourceEntry& entry);
  Result<bool> next_first(SourceEntry& entry);
  Result<std::optional<Name>> find_first(const std::string& path, Directory& parent);
  Result<void> visit(const Directory& parent, const Name& name, SourceEntry& entry);
  Result<os::UniqueFd> open_entry(const Directory& parent, const Name& name, const SourceEntry& entry,
                                  struct stat& st);
  Result<void> enter(os::UniqueFd fd, const std::string& path);
  Result<std::vector<Name>> read_names(int fd, const std::string& path);
  bool is_further_name(const struct stat& st, SourceEntry& entry);
  Result<void> read_attributes(int fd, const struct stat& st, SourceEntry& entry);
  Result<void> read_target(int fd, SourceEntry& entry);
  Result<void> read_xattrs(int fd, SourceEntry& entry);
  Result<void> read_xattr(const XattrAccess& access, const char* name, SourceEntry& entry);
  Result<void> check_unchanged();
  bool excluded(const std::string& path, const std::string& name) const;
  std::string shown(const std::string& path) const { return top_ + "/" + printable(path); }

  std::string top_;
  DirectoryOptions options_;
  os::UniqueFd root_;            // until the walk over everything begins
  std::vector<Directory> open_;  // from the root (or what is to come first) down to where we are
  bool root_given_ = false;
  size_t next_first_ = 0;                     // into options_.first
  std::set<std::string, std::less<>> given_;  // of options_.first: what was there
  // (device, inode) of files with several names -> the path that came first
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  Buffer directory_buffer_ = Buffer(kDirectoryBuffer);
  Buffer xattr_names_ = Buffer(kMaxXattrList);
  Buffer xattr_value_ = Buffer(ondisk::kMaxXattrValue + 1);

  // The regular file being read
  os::UniqueFd file_;
  std::string file_path_;
  struct stat file_stat_ = {};
  uint64_t file_read_ = 0;
};

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_mode == b.st_mode && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

Result<void> DirectorySource::open() {
  TRY_ASSIGN(root_, os::open(top_, O_RDONLY | O_DIRECTORY));
  return {};
}

Result<std::vector<Name>> DirectorySource::read_names(int fd, const std::string& path) {
  std::vector<Name> names;
  for (;;) {
    ssize_t size = ::getdents64(fd, directory_buffer_.data(), directory_buffer_.size());
    if (size < 0) return errno_error(shown(path));
    if (size == 0) break;
    for (ssize_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(directory_buffer_.data() + at);
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.push_back({std::string(name), entry->d_type});
      at += entry->d_reclen;
    }
  }
  std::sort(names.begin(), names.end(), [](const Name& a, const Name& b) { return a.text < b.text; });
  return names;
}

Result<void> DirectorySource::enter(os::UniqueFd fd, const std::string& path) {
  if (open_.size() >= kMaxDepth)
    return make_error(Code::too_large, fmt::format("{}: deeper than {} directories", shown(path), kMaxDepth));
  TRY_ASSIGN(auto names, read_names(fd.get(), path));
  open_.push_back({std::move(fd), path, std::move(names)});
  return {};
}

bool DirectorySource::excluded(const std::string& path, const std::string& name) const {
  return std::any_of(options_.exclude.begin(), options_.exclude.end(), [&](const std::string& pattern) {
    if (pattern.find('/') == pattern.npos) return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    const char* whole = pattern.c_str() + (pattern[0] == '/' ? 1 : 0);
    return ::fnmatch(whole, path.c_str(), FNM_PATHNAME) == 0;
  });
}

Result<bool> DirectorySource::next(SourceEntry& entry) {
  if (file_.valid()) TRY(check_unchanged());
  file_.reset();
  entry = {};
  if (!root_given_) {
    root_given_ = true;
    TRY_ASSIGN(struct stat st, os::stat_of(root_.get(), top_));
    TRY(read_attributes(root_.get(), st, entry));
    entry.mtime = 0;  // the root's time says only when the tree was made: the same tree gives the same image
    entry.mtime_nsec = 0;
    return true;
  }
  for (;;) {
    TRY_ASSIGN(bool more, next_of_walk(entry));
    if (more) return true;
    TRY_ASSIGN(more, next_first(entry));
    if (more) return true;
    if (!root_.valid()) return false;
    TRY(enter(std::move(root_), ""));
  }
}

// The next of what is to come first. A path that leads nowhere, or through a symlink, names nothing.
Result<bool> DirectorySource::next_first(SourceEntry& entry) {
  while (next_first_ < options_.first.size()) {
    const std::string& path = options_.first[next_first_++];
    Directory parent;
    TRY_ASSIGN(std::optional<Name> name, find_first(path, parent));
    if (!name) continue;
    entry.path = path;
    TRY(visit(parent, *name, entry));
    given_.insert(path);
    return true;
  }
  return false;
}

Result<std::optional<Name>> DirectorySource::find_first(const std::string& path, Directory& parent) {
  TRY_ASSIGN(parent.fd, os::open_at(root_.get(), ".", O_RDONLY | O_DIRECTORY));
  for (size_t start = 0; start < path.size();) {
    size_t slash = std::min(path.find('/', start), path.size());
    const std::string name = path.substr(start, slash - start);
    if (name == ".." || excluded(path.substr(0, slash), name)) return std::optional<Name>();
    int at = parent.fd.get();
    struct stat st;
    bool found = ::fstatat(at, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!found && errno != ENOENT && errno != ENAMETOOLONG) return errno_error(shown(path));
    if (!found || (slash != path.size() && !S_ISDIR(st.st_mode))) return std::optional<Name>();
    if (slash == path.size()) return std::optional(Name{name, static_cast<uint8_t>(IFTODT(st.st_mode))});
    int fd = ::openat(at, name.c_str(), O_RDONLY | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno_error(shown(path));
    parent.fd.reset(fd);
    start = slash + 1;
  }
  return std::optional<Name>();  // the root: the walk over everything gives it
}

// The next entry below what was entered last.
Result<bool> DirectorySource::next_of_walk(SourceEntry& entry) {
  while (!open_.empty()) {
    Directory& directory = open_.back();
    if (directory.next == directory.names.size()) {
      open_.pop_back();
      continue;
    }
    const Name name = std::move(directory.names[directory.next++]);
    entry.path = directory.path.empty() ? name.text : directory.path + "/" + name.text;
    if (given_.contains(entry.path) || excluded(entry.path, name.text)) continue;
    TRY(visit(directory, name, entry));
    return true;
  }
  return false;
}

// Nothing is opened whose opening could do something (devices, FIFOs): those are only named.
Result<os::UniqueFd> DirectorySource::open_entry(const Directory& parent, const Name& name,
                                                 const SourceEntry& entry, struct stat& st) {
  auto type = static_cast<uint32_t>(DTTOIF(name.type));
  if (name.type == DT_UNKNOWN) {
    if (::fstatat(parent.fd.get(), name.text.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0)
      return errno_error(shown(entry.path));
    type = st.st_mode & S_IFMT;
  }
  int flags = S_ISREG(type)   ? O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
              : S_ISDIR(type) ? O_RDONLY | O_NOFOLLOW | O_DIRECTORY
                              : O_PATH | O_NOFOLLOW;
  int fd = ::openat(parent.fd.get(), name.text.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return errno_error(shown(entry.path));
  os::UniqueFd opened(fd);
  if (::fstat(fd, &st) < 0) return errno_error(shown(entry.path));
  if ((st.st_mode & S_IFMT) != type)
    return make_error(Code::changed, shown(entry.path) + ": changed while it was read");
  return opened;
}

// Whether a file was given before under another name.
bool DirectorySource::is_further_name(const struct stat& st, SourceEntry& entry) {
  if (!S_ISREG(st.st_mode) || st.st_nlink < 2) return false;
  if (options_.oci_whiteouts && is_oci_whiteout(entry.path)) return false;
  auto [first, added] = links_.try_emplace({st.st_dev, st.st_ino}, entry.path);
  if (!added) entry.hard_link_to = first->second;
  return !added;
}

Result<void> DirectorySource::visit(const Directory& parent, const Name& name, SourceEntry& entry) {
  struct stat st;
  TRY_ASSIGN(os::UniqueFd fd, open_entry(parent, name, entry, st));
  if (is_further_name(st, entry)) {
    entry.mode = static_cast<uint16_t>(st.st_mode);
    return {};
  }
  TRY(read_attributes(fd.get(), st, entry));
  if (S_ISDIR(st.st_mode)) return enter(std::move(fd), entry.path);
  if (S_ISREG(st.st_mode)) {
    file_ = std::move(fd);
    file_path_ = shown(entry.path);
    file_stat_ = st;
    file_read_ = 0;
  }
  return {};
}

Result<void> DirectorySource::read_attributes(int fd, const struct stat& st, SourceEntry& entry) {
  entry.mode = static_cast<uint16_t>(st.st_mode);
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  entry.mtime = st.st_mtim.tv_sec;
  entry.mtime_nsec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  if (S_ISREG(st.st_mode)) entry.size = static_cast<uint64_t>(st.st_size);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    if (!encode_device(major(st.st_rdev), minor(st.st_rdev), &entry.rdev))
      return make_error(Code::too_large, fmt::format("{}: device {}:{} cannot be stored", shown(entry.path),
                                                     major(st.st_rdev), minor(st.st_rdev)));
  }
  if (S_ISLNK(st.st_mode)) TRY(read_target(fd, entry));
  return read_xattrs(fd, entry);
}

Result<void> DirectorySource::read_target(int fd, SourceEntry& entry) {
  char target[PATH_MAX];
  ssize_t size = ::readlinkat(fd, "", target, sizeof target);
  if (size < 0) return errno_error(shown(entry.path));
  entry.target.assign(target, static_cast<size_t>(size));
  return {};
}

Result<void> DirectorySource::read_xattrs(int fd, SourceEntry& entry) {
  XattrAccess access(fd, entry.mode);
  ssize_t length = access.list(xattr_names_);
  if (length < 0) {
    if (errno == EOPNOTSUPP) return {};
    return errno_error(shown(entry.path) + ": xattrs");
  }
  const auto* names = reinterpret_cast<const char*>(xattr_names_.data());
  for (const char* name = names; name < names + length; name += std::strlen(name) + 1)
    TRY(read_xattr(access, name, entry));
  return {};
}

Result<void> DirectorySource::read_xattr(const XattrAccess& access, const char* name, SourceEntry& entry) {
  // Access rules of the running system's file system, not attributes a file carries elsewhere.
  std::string_view text(name);
  if (text.starts_with("system.") && !text.starts_with("system.posix_acl_")) return {};
  ssize_t size = access.get(name, xattr_value_);
  if (size < 0) return errno_error(shown(entry.path) + ": xattr " + printable(text));
  entry.xattrs.emplace(name, as_text(ByteView(xattr_value_).first(static_cast<size_t>(size))));
  return {};
}

Result<size_t> DirectorySource::read(MutableBytes into) {
  TRY_ASSIGN(size_t n, os::read_some(file_.get(), into, file_path_));
  file_read_ += n;
  if (n == 0 && file_read_ != static_cast<uint64_t>(file_stat_.st_size))
    return make_error(Code::changed, file_path_ + ": changed while it was read");
  return n;
}

Result<void> DirectorySource::check_unchanged() {
  TRY_ASSIGN(struct stat now, os::stat_of(file_.get(), file_path_));
  if (!same_file(file_stat_, now))
    return make_error(Code::changed, file_path_ + ": changed while it was read");
  return {};
}

}  // namespace

// The way down from the root is held open, a descriptor for each directory.
static void allow_many_descriptors() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= kDescriptors) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, kDescriptors);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<std::unique_ptr<Source>> make_directory_source(const std::string& path, DirectoryOptions options) {
  allow_many_descriptors();
  auto source = std::make_unique<DirectorySource>(path, std::move(options));
  TRY(source->open());
  return std::unique_ptr<Source>(std::move(source));
}

}  // namespace mkfs
