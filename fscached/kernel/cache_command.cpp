#include "fscached/kernel/cache_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "erofs-format/base/os.h"

namespace fscached {

namespace {

Result<void> cache_command(int device, const std::string& path, const std::string& verb,
                           const CookieName& name) {
  CookiePlace place = place_of(name);
  os::UniqueFd home(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string folder = path + "/" + place.folder;
  if (!home.valid() || chdir(folder.c_str()) != 0) return errno_error(folder);
  std::string line = verb + " " + place.file;
  ssize_t written = ::write(device, line.data(), line.size());
  int error = errno;
  if (fchdir(home.get()) != 0) return errno_error(path);
  if (written < 0) return errno_error(fmt::format("{} {}/{}", verb, folder, place.file), error);
  return {};
}

bool is_absent(const Error& error) { return error.sys_errno == ENOENT || error.sys_errno == ESTALE; }

}  // namespace

Result<bool> cache_file_in_use(int device, const std::string& path, const CookieName& name) {
  auto asked = cache_command(device, path, "inuse", name);
  if (asked || is_absent(asked.error())) return false;
  if (asked.error().sys_errno == EBUSY) return true;
  return std::move(asked).error();
}

Result<void> cull_cache_file(int device, const std::string& path, const CookieName& name) {
  auto asked = cache_command(device, path, "cull", name);
  if (!asked && !is_absent(asked.error())) return asked;
  return {};
}

}  // namespace fscached
