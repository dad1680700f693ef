#include "fscached/keeper/worker_process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fscached/keeper/exec_words.h"

namespace fscached::keeper {

namespace {

// The exec that follows must not give any of it back.
bool drop_power(const WorkerUser& user) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
    if (prctl(PR_CAPBSET_DROP, capability) != 0) return false;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  constexpr unsigned long kRootIsNobody = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
  if (prctl(PR_SET_SECUREBITS, kRootIsNobody) != 0) return false;
  if (setgroups(0, nullptr) != 0 || setresgid(user.gid, user.gid, user.gid) != 0 ||
      setresuid(user.uid, user.uid, user.uid) != 0)
    return false;
  return syscall(SYS_capset, &header, none) == 0;
}

// Moves `from` to exactly the numbers 3, 4, …, whatever they were; -1 leaves its number closed.
bool place(const int (&from)[5]) {
  int high[5];
  for (int i = 0; i < 5; i++) {
    high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD, 64);
    if (from[i] >= 0 && high[i] < 0) return false;
  }
  for (int i = 0; i < 5; i++) {
    if (high[i] < 0)
      close(kWorkerSocket + i);
    else if (dup2(high[i], kWorkerSocket + i) < 0)
      return false;
  }
  return syscall(SYS_close_range, kWorkerFirstFree, ~0u, 0) == 0;
}

// Before the keeper has made sure that its successor would find this process.
bool is_wanted(int socket) {
  pollfd first = {socket, POLLIN, 0};
  while (poll(&first, 1, -1) < 0 && errno == EINTR) continue;
  return (first.revents & POLLIN) && !(first.revents & POLLHUP);
}

[[noreturn]] void become_worker(const WorkerDescriptors& descriptors, const WorkerUser& user, char** words) {
  const int from[5] = {descriptors.socket, descriptors.kernel, descriptors.journal, descriptors.listener,
                       descriptors.root};
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!place(from) || !is_wanted(kWorkerSocket) || !drop_power(user)) _exit(126);
  execv("/proc/self/exe", words);
  _exit(127);
}

}  // namespace

Result<pid_t> start_worker(const WorkerDescriptors& descriptors, const WorkerUser& user,
                           const std::vector<std::string>& arguments, const char* command) {
  std::vector<std::string> words = {"fscached", command};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers = exec_words(words);
  pid_t child = fork();
  if (child < 0) return errno_error("worker: fork");
  if (child == 0) become_worker(descriptors, user, pointers.data());
  return child;
}

}  // namespace fscached::keeper
