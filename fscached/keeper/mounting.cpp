#include "fscached/keeper/mounting.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

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

// The kernel says why in the context's log, one line per read.
std::string context_log(int context) {
  std::string text;
  char line[512];
  for (;;) {
    ssize_t size = read(context, line, sizeof(line));
    if (size <= 0) return text;
    text += ": " + std::string(line, static_cast<size_t>(size));
    while (!text.empty() && text.back() == '\n') text.pop_back();
  }
}

Result<void> set_string(int context, const char* key, const std::string& value) {
  if (value.size() > kMaxFsconfigString)
    return make_error(Code::too_large,
                      fmt::format("{}: longer than the kernel takes ({} bytes)", value, kMaxFsconfigString));
  if (fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  int error = errno;
  return errno_error(fmt::format("mount: {} {}{}", key, value, context_log(context)), error);
}

[[noreturn]] void run_canary(int mount, const std::string& path, int out) {
  CanaryResult result;
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  long fd = syscall(SYS_openat2, mount, path.c_str(), &how, sizeof(how));
  ssize_t size = fd < 0 ? -1 : pread(static_cast<int>(fd), result.bytes.data(), result.bytes.size(), 0);
  if (size < 0) {
    result.error = errno;
  } else {
    result.size = static_cast<uint32_t>(size);
  }
  [[maybe_unused]] ssize_t written = write(out, &result, sizeof(result));
  _exit(0);
}

}  // namespace

Result<os::UniqueFd> make_mount(const std::string& bootstrap, const std::vector<std::string>& devices,
                                uint64_t attributes) {
  os::UniqueFd context(fsopen("erofs", FSOPEN_CLOEXEC));
  if (!context.valid()) return errno_error("mount: fsopen erofs (EROFS_FS in this kernel?)");
  TRY(set_string(context.get(), "source", bootstrap));
  for (const std::string& device : devices) TRY(set_string(context.get(), "device", device));
  if (fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0 ||
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    int error = errno;
    std::string hint = error == ENOTBLK ? " (EROFS_FS_BACKED_BY_FILE, Linux 6.12 or later?)" : "";
    return errno_error(fmt::format("mount: {}{}{}", bootstrap, hint, context_log(context.get())), error);
  }
  os::UniqueFd mount(
      fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes | MOUNT_ATTR_RDONLY)));
  if (!mount.valid()) return errno_error("mount: fsmount");
  return mount;
}

Result<void> show_mount(int mount, const std::string& mountpoint) {
  if (move_mount(mount, "", AT_FDCWD, mountpoint.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return errno_error(mountpoint);
  return {};
}

Result<uint64_t> mount_id_of(int directory, const std::string& path) {
  struct statx status = {};
  int flags = AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW | (path.empty() ? AT_EMPTY_PATH : 0);
  if (statx(directory, path.c_str(), flags, STATX_MNT_ID, &status) != 0) return errno_error(path);
  return status.stx_mnt_id;
}

namespace {

Result<void> check_ours(const std::string& mountpoint, uint64_t mount_id) {
  TRY_ASSIGN(uint64_t there, mount_id_of(AT_FDCWD, mountpoint));
  if (there == mount_id) return {};
  return make_error(Code::invalid_argument, mountpoint + ": what is mounted there is not ours");
}

}  // namespace

// MNT_EXPIRE only marks an idle mount, and says EAGAIN. Looking it up, as check_ours() does, takes an earlier
// mark away, so that this is never the second time, which would unmount.
Result<void> check_idle(const std::string& mountpoint, uint64_t mount_id) {
  TRY(check_ours(mountpoint, mount_id));
  if (umount2(mountpoint.c_str(), MNT_EXPIRE | UMOUNT_NOFOLLOW) == 0 || errno == EAGAIN) return {};
  return errno_error(mountpoint);
}

Result<void> remove_mount(const std::string& mountpoint, uint64_t mount_id) {
  TRY(check_ours(mountpoint, mount_id));
  if (umount2(mountpoint.c_str(), UMOUNT_NOFOLLOW) != 0) return errno_error(mountpoint);
  return {};
}

Result<std::vector<std::string>> detach_leftovers(const std::string& root) {
  TRY_ASSIGN(Buffer table, os::read_file("/proc/self/mountinfo", kMaxMountInfoBytes));
  std::istringstream lines{std::string(as_text(table))};
  std::vector<std::string> found;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string skipped, mountpoint, word, type, source;
    for (int i = 0; i < 4; i++) fields >> skipped;
    fields >> mountpoint;
    while (fields >> word && word != "-") continue;
    fields >> type >> source;
    if (type == "erofs" && unescape(source).starts_with(root + "/")) found.push_back(unescape(mountpoint));
  }
  for (const std::string& mountpoint : found)
    if (umount2(mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return errno_error(mountpoint);
  return found;
}

Result<Canary> start_canary(int mount, const std::string& path) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("canary: pipe");
  Canary canary;
  canary.result = os::UniqueFd(ends[0]);
  os::UniqueFd out(ends[1]);
  canary.child = fork();
  if (canary.child < 0) return errno_error("canary: fork");
  if (canary.child == 0) run_canary(mount, path, out.get());
  return canary;
}

CanaryResult finish_canary(Canary& canary) {
  CanaryResult result;
  // A pipe holds a whole result: it is there completely or the child died.
  if (fcntl(canary.result.get(), F_SETFL, O_NONBLOCK) != 0 ||
      read(canary.result.get(), &result, sizeof(result)) != static_cast<ssize_t>(sizeof(result)))
    result.error = ETIMEDOUT;
  kill(canary.child, SIGKILL);
  waitpid(canary.child, nullptr, 0);
  canary.child = -1;
  return result;
}

}  // namespace fscached::keeper
