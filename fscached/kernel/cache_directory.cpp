#include "fscached/kernel/cache_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace fscached {

Result<std::vector<Extent>> data_extents(int fd, Extent range) {
  std::vector<Extent> found;
  uint64_t end = range.offset + range.size;
  for (uint64_t at = range.offset; at < end;) {
    off_t data = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return errno_error("cache file: SEEK_DATA");
    if (static_cast<uint64_t>(data) >= end) break;
    off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return errno_error("cache file: SEEK_HOLE");
    at = static_cast<uint64_t>(hole);
    found.push_back({static_cast<uint64_t>(data), std::min(at, end) - static_cast<uint64_t>(data)});
  }
  return found;
}

Result<void> make_hole(int fd, Extent range) {
  if (range.size == 0) return {};
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.offset),
                static_cast<off_t>(range.size)) != 0)
    return errno_error("cache file: making a hole");
  return {};
}

std::string CacheDirectory::path_of(const CookieName& name) const {
  CookiePlace place = place_of(name);
  return fmt::format("{}/{}/{}", path_, place.folder, place.file);
}

// The kernel makes its files without any permission; their owner, which has no capability, gives them one.
Result<os::UniqueFd> CacheDirectory::open(const CookieName& name, int flags) const {
  std::string path = path_of(name);
  auto file = os::open(path, flags | O_NOFOLLOW);
  if (file || file.error().sys_errno != EACCES) return file;
  if (chmod(path.c_str(), 0600) != 0) return errno_error(path);
  return os::open(path, flags | O_NOFOLLOW);
}

void CacheDirectory::run(std::function<void()> task) {
  janitor_.submit([task = std::move(task)](size_t) {
    thread_local const bool alone = unshare(CLONE_FS) == 0;
    // Never refused to a process of one's own; were it, relative names of other threads would go astray.
    if (!alone) abort();
    task();
  });
}

Result<void> CacheDirectory::cull(const CookieName& name) const {
  return cull_cache_file(device_, path_, name);
}

Result<std::vector<CookieName>> CacheDirectory::all() const {
  std::vector<CookieName> found;
  std::error_code error;
  std::filesystem::recursive_directory_iterator files(path_ + "/cache", error), end;
  for (; !error && files != end; files.increment(error)) {
    std::string volume = files->path().parent_path().parent_path().filename();
    std::string file = files->path().filename();
    if (files.depth() != 2 || !volume.starts_with("Ierofs,") || !file.starts_with('D')) continue;
    found.push_back({volume.substr(1), file.substr(1)});
  }
  if (error) return errno_error(path_, error.value());
  return found;
}

}  // namespace fscached
