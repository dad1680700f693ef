#include "fscached/keeper/mounting.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fscached/limits.h"

namespace fscached::keeper {

namespace {

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

Result<void> set_string(int context, const std::string& key, const std::string& value) {
  if (value.size() > kMaxFsconfigString)
    return make_error(Code::too_large,
                      fmt::format("{}: longer than the kernel takes ({} bytes)", value, kMaxFsconfigString));
  if (fsconfig(context, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) == 0) return {};
  int error = errno;
  return errno_error(fmt::format("mount: {} {}{}", key, value, context_log(context)), error);
}

Result<os::UniqueFd> make_mount(const MountPlan& plan, uint64_t attributes) {
  os::UniqueFd context(fsopen("erofs", FSOPEN_CLOEXEC));
  if (!context.valid()) return errno_error("mount: fsopen erofs (EROFS_FS in this kernel?)");
  for (const auto& [key, value] : plan.parameters) TRY(set_string(context.get(), key, value));
  if (fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0 ||
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    int error = errno;
    std::string hint = error == ENOTBLK ? " (EROFS_FS_BACKED_BY_FILE, Linux 6.12 or later?)" : "";
    std::string name = plan.parameters.empty() ? "" : plan.parameters.front().second;
    return errno_error(fmt::format("mount: {}{}{}", name, hint, context_log(context.get())), error);
  }
  os::UniqueFd mount(
      fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes | MOUNT_ATTR_RDONLY)));
  if (!mount.valid()) return errno_error("mount: fsmount");
  return mount;
}

Result<void> read_canary(int mount, const std::string& path, Message& report) {
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  os::UniqueFd file(static_cast<int>(syscall(SYS_openat2, mount, path.c_str(), &how, sizeof(how))));
  ssize_t size = file.valid() ? pread(file.get(), report.text, sizeof(report.text), 0) : -1;
  if (size < 0) return errno_error("canary read of /" + path);
  report.text_size = static_cast<uint32_t>(size);
  return {};
}

Result<os::UniqueFd> mount_and_prove(const MountPlan& plan, uint64_t attributes, const std::string& canary,
                                     Message& report) {
  if (plan.link_first) TRY(make_mount(plan, attributes));
  TRY_ASSIGN(os::UniqueFd mount, make_mount(plan, attributes));
  if (!canary.empty()) TRY(read_canary(mount.get(), canary, report));
  return mount;
}

// This process may wait inside the kernel for what only ends when the last descriptor of the mechanism does:
// it must not be the one that has it, nor hold the root's lock against the next keeper.
[[noreturn]] void run_child(const MountPlan& plan, uint64_t attributes, const std::string& canary,
                            int report_to) {
  prctl(PR_SET_NAME, "mounting");
  constexpr int out = STDERR_FILENO + 1;
  if (dup2(report_to, out) != out || syscall(SYS_close_range, out + 1, ~0u, 0) != 0) _exit(1);
  Message report;
  report.op = Op::reply;
  auto mount = mount_and_prove(plan, attributes, canary, report);
  if (!mount) fail_message(report, mount.error());
  [[maybe_unused]] auto sent = send_message(out, report, mount ? mount->get() : -1);
  _exit(0);
}

}  // namespace

Result<Mounting> start_mounting(const MountPlan& plan, uint64_t attributes, const std::string& canary) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return errno_error("mount: socketpair");
  Mounting mounting;
  mounting.report = os::UniqueFd(ends[0]);
  os::UniqueFd out(ends[1]);
  mounting.child = fork();
  if (mounting.child < 0) return errno_error("mount: fork");
  if (mounting.child == 0) run_child(plan, attributes, canary, out.get());
  return mounting;
}

// The keeper's reap() takes the child: one that waits inside the kernel dies when that lets go of it.
Result<Received> finish_mounting(Mounting& mounting) {
  auto received = receive_message(mounting.report.get());
  pid_t child = std::exchange(mounting.child, -1);
  kill(child, SIGKILL);
  if (!received) return errno_error("mount", ETIMEDOUT);
  const Message& report = received->message;
  if (report.error) return Error{Code::io, report.error, text_of(report.path), 1};
  // What it still has open would make the mount busy; having made it, it waits for nothing any more.
  waitpid(child, nullptr, 0);
  return received;
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

}  // namespace fscached::keeper
