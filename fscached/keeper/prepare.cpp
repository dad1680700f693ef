// What the keeper needs before the first worker: root, mechanism (take_over.cpp), control socket.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "fscached/keeper/keeper.h"

namespace fscached::keeper {

namespace {

Result<os::UniqueFd> watch_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return errno_error("keeper: sigprocmask");
  os::UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return errno_error("keeper: signalfd");
  return fd;
}

}  // namespace

Keeper::Keeper(KeeperOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<Keeper>> Keeper::create(KeeperOptions options) {
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(options)));
  TRY(keeper->note_start());
  TRY(keeper->find_predecessor());
  TRY(keeper->prepare_root());
  TRY(keeper->end_old_worker());
  TRY(keeper->open_mechanism());
  TRY_ASSIGN(keeper->signals_, watch_signals());
  TRY(keeper->listen());
  return keeper;
}

// For another program to take this one's place; and there are as many descriptors as images and blobs.
Result<void> Keeper::note_start() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno_error("keeper: getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return errno_error("keeper: setrlimit");
  TRY_ASSIGN(started_in_, os::open(".", O_PATH | O_DIRECTORY));
  std::error_code error;
  program_ = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? errno_error("/proc/self/exe", error.value()) : Result<void>();
}

Result<void> Keeper::prepare_root() {
  const std::string& root = options_.root;
  if (root.size() + 64 > kMaxFsconfigString)
    return make_error(Code::invalid_argument,
                      root + ": the root's path is too long for the kernel's mount options");
  umask(0077);
  TRY(os::make_directories(root, 0700));
  TRY_ASSIGN(root_, os::open(root, O_RDONLY | O_DIRECTORY));
  TRY(let_worker_pass(root_.get(), root, options_.user));
  if (fchdir(root_.get()) != 0) return errno_error(root);
  return lock_root();
}

Result<void> Keeper::listen() {
  const std::string& path = options_.socket;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return make_error(Code::invalid_argument, path + ": longer than a socket's path can be");
  path.copy(address.sun_path, path.size());
  TRY(os::make_directories(os::parent_directory(path), 0755));
  unlink(path.c_str());  // the root's lock says that no daemon of this root listens there
  listener_ = os::UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener_.valid()) return errno_error("control socket");
  if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return errno_error(path);
  if (chmod(path.c_str(), 0600) != 0 || ::listen(listener_.get(), kMaxControlConnections) != 0)
    return errno_error(path);
  return {};
}

}  // namespace fscached::keeper
