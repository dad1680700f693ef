#include "fscached/keeper/leftovers.h"

#include <sys/mount.h>

#include <sstream>

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

Result<std::vector<std::string>> detach_leftovers(const std::function<bool(const MountedErofs&)>& is_ours) {
  TRY_ASSIGN(auto mounts, mounted_erofs());
  std::vector<std::string> detached;
  for (const MountedErofs& mount : mounts) {
    if (!is_ours(mount)) continue;
    if (umount2(mount.mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
      return errno_error(mount.mountpoint);
    detached.push_back(mount.mountpoint);
  }
  return detached;
}

}  // namespace fscached::keeper
