// What the keeper needs before the first worker: root, mechanism (take_over.cpp), control socket.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "fscached/keeper/keeper.h"
#include "fscached/keeper/own_memory.h"

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

namespace {

// Of keeper and worker, which inherits it. Not allowed to raise it: as many as there are.
Result<void> raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno_error("keeper: getrlimit");
  rlim_t allowed = limit.rlim_max;
  limit.rlim_cur = limit.rlim_max = std::max<rlim_t>(allowed, kMaxDescriptors);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  limit.rlim_cur = limit.rlim_max = allowed;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return errno_error("keeper: setrlimit");
  if (allowed > kMaxPendingEvents + kOwnDescriptors) return {};
  return make_error(
      Code::unsupported,
      fmt::format("only {} descriptors are allowed (ulimit -n, LimitNOFILE=): readers alone can take {}, "
                  "as many are wanted as images, blobs and they can take: {}",
                  allowed, kMaxPendingEvents, kMaxDescriptors));
}

// Whether a predecessor's socket still is what clients find at `path`.
bool listens_at(int socket, const std::string& path) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  sockaddr_un address = {};
  socklen_t length = sizeof(address);
  struct stat file = {};
  return getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens &&
         getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
         path == address.sun_path && stat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode);
}

}  // namespace

Keeper::Keeper(KeeperOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<Keeper>> Keeper::create(KeeperOptions options) {
  std::unique_ptr<Keeper> keeper(new Keeper(std::move(options)));
  take_memory();
  TRY(keeper->note_start());
  TRY(raise_descriptor_limit());
  TRY(keeper->find_predecessor());
  TRY(keeper->prepare_root());
  TRY(keeper->end_old_worker());
  keeper->listener_ = keeper->store_.take(kListenerName);
  TRY(keeper->open_mechanism());
  TRY_ASSIGN(keeper->signals_, watch_signals());
  TRY(keeper->listen());
  return keeper;
}

// For another program to take this one's place.
Result<void> Keeper::note_start() {
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

// A client that came while nobody accepted waits in its queue: it lasts through every start.
Result<void> Keeper::listen() {
  const std::string& path = options_.socket;
  if (!listens_at(listener_.get(), path)) TRY(listen_anew(path));
  store_.keep(kListenerName, listener_.get());
  return {};
}

Result<void> Keeper::listen_anew(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return make_error(Code::invalid_argument, path + ": longer than a socket's path can be");
  path.copy(address.sun_path, path.size());
  TRY(os::make_directories(os::parent_directory(path), 0755));
  unlink(path.c_str());  // the root's lock says that no daemon of this root listens there
  listener_ = os::UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_.valid()) return errno_error("control socket");
  if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return errno_error(path);
  if (chmod(path.c_str(), 0600) != 0 || ::listen(listener_.get(), kMaxControlConnections) != 0)
    return errno_error(path);
  return {};
}

}  // namespace fscached::keeper
