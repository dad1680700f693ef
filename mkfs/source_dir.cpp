#include "mkfs/source_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "erofs-format/base/os.h"
#include "erofs-format/ondisk/erofs.h"
#include "mkfs/limits.h"

namespace mkfs {

namespace {

struct Directory {
  os::UniqueFd fd;
  std::string path;
  std::vector<std::string> names;  // sorted, still to visit from `next`
  size_t next = 0;
};

class DirectorySource final : public Source {
 public:
  DirectorySource(std::string top, DirectoryOptions options)
      : top_(std::move(top)), options_(std::move(options)) {}
  Result<void> open();
  Result<bool> next(SourceEntry& entry) override;
  Result<size_t> read(MutableBytes into) override;

 private:
  Result<void> visit(Directory& parent, const std::string& name, SourceEntry& entry);
  Result<void> enter(os::UniqueFd fd, const std::string& path);
  Result<void> read_attributes(int fd, const struct stat& st, SourceEntry& entry);
  Result<void> read_xattrs(const std::string& proc_path, SourceEntry& entry);
  Result<void> check_unchanged();
  bool excluded(const std::string& path, const std::string& name) const;
  std::string shown(const std::string& path) const { return top_ + "/" + printable(path); }

  std::string top_;
  DirectoryOptions options_;
  std::vector<Directory> open_;  // from the root down to where we are
  bool root_given_ = false;
  // (device, inode) of files with several names -> the path that came first
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
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
  TRY_ASSIGN(os::UniqueFd fd, os::open(top_, O_RDONLY | O_DIRECTORY));
  return enter(std::move(fd), "");
}

Result<void> DirectorySource::enter(os::UniqueFd fd, const std::string& path) {
  if (open_.size() >= kMaxDepth)
    return make_error(Code::too_large, fmt::format("{}: deeper than {} directories", shown(path), kMaxDepth));
  Directory directory;
  directory.path = path;
  int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
  DIR* stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (!stream) return errno_error(shown(path));
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream);
    if (!entry) break;
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") directory.names.emplace_back(name);
  }
  int error = errno;
  ::closedir(stream);
  if (error != 0) return errno_error(shown(path), error);
  std::sort(directory.names.begin(), directory.names.end());
  directory.fd = std::move(fd);
  open_.push_back(std::move(directory));
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
    TRY_ASSIGN(struct stat st, os::stat_of(open_[0].fd.get(), top_));
    TRY(read_attributes(open_[0].fd.get(), st, entry));
    entry.mtime = 0;  // the root's time says only when the tree was made: the same tree gives the same image
    entry.mtime_nsec = 0;
    return true;
  }
  while (!open_.empty()) {
    Directory& directory = open_.back();
    if (directory.next == directory.names.size()) {
      open_.pop_back();
      continue;
    }
    const std::string name = directory.names[directory.next++];
    entry.path = directory.path.empty() ? name : directory.path + "/" + name;
    if (excluded(entry.path, name)) continue;
    TRY(visit(directory, name, entry));
    return true;
  }
  return false;
}

Result<void> DirectorySource::visit(Directory& parent, const std::string& name, SourceEntry& entry) {
  struct stat st;
  const std::string path = shown(entry.path);
  if (::fstatat(parent.fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0) return errno_error(path);
  if (!S_ISDIR(st.st_mode) && S_ISREG(st.st_mode) && st.st_nlink > 1) {
    auto [first, added] = links_.try_emplace({st.st_dev, st.st_ino}, entry.path);
    if (!added) entry.hard_link_to = first->second;
  }
  if (!entry.hard_link_to.empty()) {
    entry.mode = static_cast<uint16_t>(st.st_mode);
    return {};
  }
  int flags = S_ISREG(st.st_mode)   ? O_RDONLY | O_NOFOLLOW | O_NONBLOCK
              : S_ISDIR(st.st_mode) ? O_RDONLY | O_NOFOLLOW | O_DIRECTORY
                                    : O_PATH | O_NOFOLLOW;
  auto fd = os::open_at(parent.fd.get(), name, flags);
  if (!fd) return errno_error(path, fd.error().sys_errno);
  TRY_ASSIGN(struct stat opened, os::stat_of(fd->get(), path));
  if (!same_file(st, opened)) return make_error(Code::changed, path + ": changed while it was read");
  TRY(read_attributes(fd->get(), opened, entry));
  if (S_ISDIR(st.st_mode)) return enter(std::move(*fd), entry.path);
  if (S_ISREG(st.st_mode)) {
    file_ = std::move(*fd);
    file_path_ = path;
    file_stat_ = opened;
    file_read_ = 0;
  }
  return {};
}

Result<void> DirectorySource::read_attributes(int fd, const struct stat& st, SourceEntry& entry) {
  const std::string path = shown(entry.path);
  entry.mode = static_cast<uint16_t>(st.st_mode);
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  entry.mtime = st.st_mtim.tv_sec;
  entry.mtime_nsec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  if (S_ISREG(st.st_mode)) entry.size = static_cast<uint64_t>(st.st_size);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    if (!encode_device(major(st.st_rdev), minor(st.st_rdev), &entry.rdev))
      return make_error(Code::too_large, fmt::format("{}: device {}:{} cannot be stored", path,
                                                     major(st.st_rdev), minor(st.st_rdev)));
  }
  if (S_ISLNK(st.st_mode)) {
    char target[PATH_MAX];
    ssize_t n = ::readlinkat(fd, "", target, sizeof target);
    if (n < 0) return errno_error(path);
    entry.target.assign(target, static_cast<size_t>(n));
  }
  return read_xattrs(fmt::format("/proc/self/fd/{}", fd), entry);
}

// Through /proc/self/fd, as descriptors that only name a file (O_PATH) have no xattr calls of their own.
Result<void> DirectorySource::read_xattrs(const std::string& proc_path, SourceEntry& entry) {
  auto* names = reinterpret_cast<char*>(xattr_names_.data());
  ssize_t length = ::listxattr(proc_path.c_str(), names, xattr_names_.size());
  if (length < 0) {
    if (errno == EOPNOTSUPP) return {};
    return errno_error(shown(entry.path) + ": xattrs");
  }
  for (const char* name = names; name < names + length; name += std::strlen(name) + 1) {
    ssize_t size = ::getxattr(proc_path.c_str(), name, xattr_value_.data(), xattr_value_.size());
    if (size < 0) return errno_error(shown(entry.path) + ": xattr " + printable(name));
    // Access rules of the running system's file system, not attributes a file carries elsewhere.
    if (std::string_view(name).starts_with("system.") &&
        !std::string_view(name).starts_with("system.posix_acl_"))
      continue;
    entry.xattrs.emplace(name, as_text(ByteView(xattr_value_).first(static_cast<size_t>(size))));
  }
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

Result<std::unique_ptr<Source>> make_directory_source(const std::string& path, DirectoryOptions options) {
  auto source = std::make_unique<DirectorySource>(path, std::move(options));
  TRY(source->open());
  return std::unique_ptr<Source>(std::move(source));
}

}  // namespace mkfs
