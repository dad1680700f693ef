#include "fscached/keeper/leftovers.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"

namespace fscached::keeper {

namespace {

constexpr uint64_t kMaxMountInfoBytes = 64 << 20;

// Octal escapes of mountinfo: space, tab, newline, backslash.
std::string unescape(const std::string& field) {
  std::string text;
  for (size_t i = 0; i < field.size(); i++) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      text += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0'));
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

}  // namespace

Result<std::vector<MountedErofs>> mounted_erofs() {
  TRY_ASSIGN(Buffer table, os::read_file("/proc/self/mountinfo", kMaxMountInfoBytes));
  std::istringstream lines{std::string(as_text(table))};
  std::vector<MountedErofs> found;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string skipped, mountpoint, word, type, source, options;
    uint64_t id = 0;
    fields >> id;
    for (int i = 0; i < 3; i++) fields >> skipped;
    fields >> mountpoint;
    while (fields >> word && word != "-") continue;
    fields >> type >> source >> options;
    if (type == "erofs") found.push_back({id, unescape(mountpoint), unescape(source), unescape(options)});
  }
  return found;
}

Result<void> detach_leftovers(const std::function<bool(const MountedErofs&)>& is_ours, const char* saw) {
  TRY_ASSIGN(auto mounts, mounted_erofs());
  TRY_ASSIGN(os::UniqueFd list, os::open(kDetachedFile, O_WRONLY | O_CREAT | O_APPEND, 0600));
  // For the worker, who may pass through the root.
  if (fchmod(list.get(), 0644) != 0) return errno_error(kDetachedFile);
  for (const MountedErofs& mount : mounts) {
    if (!is_ours(mount)) continue;
    const std::string& where = mount.mountpoint;
    if (umount2(where.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return errno_error(where);
    log_line(LogLevel::error, "keeper",
             where + ": was left mounted by a daemon that died: detached, its readers " + saw);
    if (write(list.get(), where.c_str(), where.size() + 1) < 0) return errno_error(kDetachedFile);
  }
  return {};
}

}  // namespace fscached::keeper
