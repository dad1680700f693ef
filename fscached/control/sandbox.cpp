#include "fscached/control/sandbox.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <initializer_list>
#include <memory>
#include <string>

#include "erofs-format/base/os.h"
#include "fscached/kernel/cachefiles_abi.h"

namespace fscached {

namespace {

// --- files ------------------------------------------------------------------

// The second and third version of Landlock brought these; Debian 12's headers know only the first of them.
constexpr uint64_t kRefer = uint64_t{1} << 13;
constexpr uint64_t kTruncate = uint64_t{1} << 14;

constexpr uint64_t kChangesInside = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                    LANDLOCK_ACCESS_FS_MAKE_REG | kRefer | kTruncate;
constexpr uint64_t kRefusedEverywhere = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                        LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                        LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

uint64_t known_to(long version) {
  uint64_t unknown = (version < 2 ? kRefer : 0) | (version < 3 ? kTruncate : 0);
  return ~unknown;
}

Result<void> confine_changes(int root) {
  long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return {};  // without it only the owners of files keep us from changing them
  landlock_ruleset_attr rules = {};
  rules.handled_access_fs = (kChangesInside | kRefusedEverywhere) & known_to(version);
  os::UniqueFd set(static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0)));
  if (!set.valid()) return errno_error("sandbox: landlock_create_ruleset");
  landlock_path_beneath_attr beneath = {};
  beneath.allowed_access = kChangesInside & known_to(version);
  beneath.parent_fd = root;
  bool added =
      root < 0 || syscall(SYS_landlock_add_rule, set.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
  if (!added || syscall(SYS_landlock_restrict_self, set.get(), 0) != 0)
    return errno_error("sandbox: landlock");
  return {};
}

// --- system calls -------------------------------------------------------------

// Files, memory, threads and time; what libcurl, OpenSSL and the resolver ask for besides.
constexpr int kAllowed[] = {
    // descriptors that are open
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range),
    SCMP_SYS(copy_file_range), SCMP_SYS(fchmod), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select),
    SCMP_SYS(pselect6), SCMP_SYS(pipe2), SCMP_SYS(eventfd2), SCMP_SYS(io_uring_enter),
    // names
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(stat), SCMP_SYS(lstat),
    SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(getcwd),
    SCMP_SYS(chdir), SCMP_SYS(fchdir), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(chmod),
    SCMP_SYS(fchmodat), SCMP_SYS(utimensat), SCMP_SYS(umask),
    // memory
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mlock), SCMP_SYS(munlock),
    // threads and signals of our own
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(gettid), SCMP_SYS(getpid),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(membarrier), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    // time, chance, who and where we are
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrlimit),
    // connections
    SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(socketpair), SCMP_SYS(accept4), SCMP_SYS(sendto),
    SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(shutdown)};

class CallFilter {
 public:
  // EPERM, not death: a library that tries something goes on without it.
  CallFilter() : filter_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release) {
    if (!filter_) error_ = -ENOMEM;
  }
  void allow(int call) { keep(seccomp_rule_add(filter_.get(), SCMP_ACT_ALLOW, call, 0)); }
  // When argument `index`, of its bits `mask`, is `value`.
  void allow_when(int call, unsigned index, uint64_t mask, uint64_t value) {
    scmp_arg_cmp compare = {index, SCMP_CMP_MASKED_EQ, mask, value};
    keep(seccomp_rule_add_array(filter_.get(), SCMP_ACT_ALLOW, call, 1, &compare));
  }
  void is_unknown(int call) { keep(seccomp_rule_add(filter_.get(), SCMP_ACT_ERRNO(ENOSYS), call, 0)); }
  Result<void> load() {
    if (filter_) {
      keep(seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_TSYNC, 1));
      keep(seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
      keep(seccomp_load(filter_.get()));
    }
    return error_ == 0 ? Result<void>() : errno_error("sandbox: seccomp", -error_);
  }

 private:
  void keep(int result) {
    if (error_ == 0 && result < 0) error_ = result;
  }
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter_;
  int error_ = 0;
};

void allow_with_conditions(CallFilter& filter) {
  constexpr uint64_t kAll = ~uint64_t{0}, kWord = 0xffffffff;
  // Memory is never made executable, so that no code comes in.
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) filter.allow_when(call, 2, PROT_EXEC, 0);
  // Threads, no processes. Of clone3() the filter cannot see the flags.
  filter.allow_when(SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
  filter.is_unknown(SCMP_SYS(clone3));
  filter.allow_when(SCMP_SYS(unshare), 0, kAll, CLONE_FS);
  filter.allow_when(SCMP_SYS(tgkill), 0, kWord, static_cast<uint64_t>(getpid()));
  filter.allow_when(SCMP_SYS(prctl), 0, kWord, PR_SET_NAME);
  filter.allow_when(SCMP_SYS(prlimit64), 2, kAll, 0);
  filter.allow_when(SCMP_SYS(io_uring_register), 1, kWord, IORING_REGISTER_ENABLE_RINGS);
  for (uint64_t request : {uint64_t{abi::kReadComplete}, uint64_t{FIONBIO}, uint64_t{FIONREAD}})
    filter.allow_when(SCMP_SYS(ioctl), 1, kWord, request);
  // The resolver asks the kernel by netlink which addresses there are. Nothing reaches the host's own
  // sockets.
  for (uint64_t family : {AF_INET, AF_INET6, AF_NETLINK})
    filter.allow_when(SCMP_SYS(socket), 0, kWord, family);
}

}  // namespace

Result<void> confine_files(int root) {
  const rlimit none = {0, 0};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
      setrlimit(RLIMIT_CORE, &none) != 0)
    return errno_error("sandbox");
  return confine_changes(root);
}

Result<void> confine_calls() {
  CallFilter filter;
  for (int call : kAllowed) filter.allow(call);
  allow_with_conditions(filter);
  return filter.load();
}

}  // namespace fscached
