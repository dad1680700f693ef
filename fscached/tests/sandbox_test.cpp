// The worker's sandbox, entered by a child: what it may do it does, everything else the kernel refuses.
#include "fscached/control/sandbox.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "fscached/loop.h"
#include "fscached/tests/scratch.h"

namespace fscached {
namespace {

using Call = std::function<long()>;

struct Attempt {
  const char* name;
  Call call;
};

// Plain system calls: what a library does before asking the kernel proves nothing.
template <typename... Arguments>
Call raw(long number, Arguments... arguments) {
  return [=] { return syscall(number, arguments...); };
}

const char* const kNoWords[] = {nullptr};

const Attempt kForbidden[] = {
    {"execve", raw(SYS_execve, "/bin/true", kNoWords, kNoWords)},
    {"execveat", raw(SYS_execveat, AT_FDCWD, "/bin/true", kNoWords, kNoWords, 0)},
    {"fork", raw(SYS_clone, SIGCHLD, 0, 0, 0, 0)},
    {"vfork", raw(SYS_vfork)},
    {"clone3", raw(SYS_clone3, nullptr, 0)},
    {"a user namespace", raw(SYS_unshare, CLONE_NEWUSER)},
    {"setns", raw(SYS_setns, 0, 0)},
    {"ptrace", raw(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)},
    {"process_vm_readv", raw(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0)},
    {"pidfd_open", raw(SYS_pidfd_open, 1, 0)},
    {"kill", raw(SYS_kill, 1, 0)},
    {"tgkill of another", raw(SYS_tgkill, 1, 1, 0)},
    {"mount", raw(SYS_mount, "none", "/", "tmpfs", 0, 0)},
    {"umount2", raw(SYS_umount2, "/nowhere", 0)},
    {"fsopen", raw(SYS_fsopen, "erofs", 0)},
    {"open_tree", raw(SYS_open_tree, AT_FDCWD, "/", 0)},
    {"move_mount", raw(SYS_move_mount, AT_FDCWD, "/", AT_FDCWD, "/", 0)},
    {"pivot_root", raw(SYS_pivot_root, "/", "/")},
    {"chroot", raw(SYS_chroot, "/")},
    {"setuid", raw(SYS_setuid, 0)},
    {"capset", raw(SYS_capset, nullptr, nullptr)},
    {"prctl(PR_SET_DUMPABLE)", raw(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)},
    {"setrlimit", raw(SYS_prlimit64, 0, 0, "", nullptr)},
    {"chown", raw(SYS_chown, "/tmp", 0, 0)},
    {"link", raw(SYS_link, "/etc/passwd", "passwd")},
    {"symlink", raw(SYS_symlink, "/etc/passwd", "passwd")},
    {"mknod", raw(SYS_mknod, "device", S_IFCHR | 0600, 0)},
    {"setxattr", raw(SYS_setxattr, ".", "user.a", "", 0, 0)},
    {"bpf", raw(SYS_bpf, BPF_MAP_CREATE, nullptr, 0)},
    {"perf_event_open", raw(SYS_perf_event_open, nullptr, 0, -1, -1, 0)},
    {"userfaultfd", raw(SYS_userfaultfd, 0)},
    {"io_uring_setup", raw(SYS_io_uring_setup, 1, nullptr)},
    {"init_module", raw(SYS_init_module, nullptr, 0, "")},
    {"kexec_load", raw(SYS_kexec_load, 0, 0, nullptr, 0)},
    {"reboot", raw(SYS_reboot, 0, 0, 0, nullptr)},
    {"add_key", raw(SYS_add_key, "user", "a", "b", 1, 0)},
    {"fanotify_init", raw(SYS_fanotify_init, 0, 0)},
    {"open_by_handle_at", raw(SYS_open_by_handle_at, AT_FDCWD, nullptr, 0)},
    {"memory for code",
     raw(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)},
    {"listen", raw(SYS_listen, 0, 1)},
    {"a socket of the host", raw(SYS_socket, AF_UNIX, SOCK_STREAM, 0)},
    {"a raw packet socket", raw(SYS_socket, AF_PACKET, SOCK_RAW, 0)},
    {"TIOCSTI", raw(SYS_ioctl, 0, 0x5412, "x")},
};

bool refused(long result, int error) {
  return result < 0 && (error == EPERM || error == ENOSYS || error == EACCES);
}

// Runs `inside` in a child that is confined to `root`; what it writes to its descriptor.
std::string confined(
    const std::string& root, const std::function<void(int)>& inside,
    const std::function<void()>& prepare = [] {}) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  pid_t child = fork();
  if (child == 0) {
    prepare();
    auto folder = os::open(root, O_PATH | O_DIRECTORY);
    if (folder && fchdir(folder->get()) == 0 && confine_files(folder->get()) && confine_calls())
      inside(ends[1]);
    else
      dprintf(ends[1], "could not be confined");
    dprintf(ends[1], ".");  // it came to its end
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  char bytes[512];
  for (ssize_t size = 0; (size = read(ends[0], bytes, sizeof(bytes))) > 0;)
    said.append(bytes, static_cast<size_t>(size));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  return said;
}

bool has_landlock() { return syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) > 0; }

TEST_CASE("sandbox: each of these is refused") {
  static_assert(std::size(kForbidden) >= 25);
  Scratch scratch;
  CHECK(confined(scratch.path(), [](int out) {
          for (const Attempt& attempt : kForbidden) {
            errno = 0;
            long result = attempt.call();
            if (!refused(result, errno)) dprintf(out, "%s: %ld, errno %d; ", attempt.name, result, errno);
          }
        }) == ".");
}

TEST_CASE("sandbox: files are changed below the root and nowhere else") {
  if (!has_landlock()) {
    MESSAGE("this kernel has no Landlock");
    return;
  }
  Scratch scratch, elsewhere;
  std::string outside = elsewhere.path() + "/file";
  CHECK(confined(scratch.path(), [&](int out) {
          if (open("inside", O_RDWR | O_CREAT, 0600) < 0 || rename("inside", "renamed") != 0)
            dprintf(out, "inside: errno %d; ", errno);
          if (open(outside.c_str(), O_RDWR | O_CREAT, 0600) >= 0) dprintf(out, "created outside; ");
          if (rename("renamed", outside.c_str()) == 0) dprintf(out, "moved outside; ");
          if (open("/etc/hostname", O_RDONLY | O_CLOEXEC) < 0 && errno != ENOENT)
            dprintf(out, "cannot read; ");
        }) == ".");
}

TEST_CASE("sandbox: a loop made before goes on with files") {
  Scratch scratch;
  std::unique_ptr<Loop> loop;
  os::UniqueFd file;
  auto prepare = [&] {
    file = std::move(*os::open(scratch.path() + "/file", O_RDWR | O_CREAT));
    loop = std::move(*Loop::create(8));
  };
  CHECK(confined(
            scratch.path(),
            [&](int out) {
              const uint8_t bytes[] = {1, 2, 3};
              loop->write(file.get(), 0, bytes, [&](int32_t written) {
                dprintf(out, "%d written", written);
                loop->stop();
              });
              if (!loop->run()) dprintf(out, "does not run");
            },
            prepare) == "3 written.");
}

}  // namespace
}  // namespace fscached
