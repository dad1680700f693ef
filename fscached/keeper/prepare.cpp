// What the keeper needs before the first worker: root, group, journal, control socket.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "erofs-format/base/log.h"
#include "fscached/keeper/journal.h"
#include "fscached/keeper/keeper.h"
#include "fscached/kernel/fanotify_abi.h"

namespace fscached::keeper {

namespace {

Result<os::UniqueFd> watch_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, signal);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return errno_error("keeper: sigprocmask");
  os::UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return errno_error("keeper: signalfd");
  return fd;
}

}  // namespace

Keeper::Keeper(KeeperOptions options) : options_(std::move(options)) {}

Result<Keeper> Keeper::create(KeeperOptions options) {
  Keeper keeper(std::move(options));
  TRY(keeper.prepare_root());
  TRY(keeper.open_group());
  TRY_ASSIGN(keeper.journal_, Journal::create_memory());
  TRY_ASSIGN(keeper.signals_, watch_signals());
  TRY(keeper.listen());
  return keeper;
}

Result<void> Keeper::prepare_root() {
  const std::string& root = options_.root;
  if (root.size() + 64 > kMaxFsconfigString)
    return make_error(Code::invalid_argument,
                      root + ": the root's path is too long for the kernel's mount options");
  umask(0077);
  TRY(os::make_directories(root, 0700));
  TRY_ASSIGN(root_, os::open(root, O_RDONLY | O_DIRECTORY));
  if (fchmod(root_.get(), 0700) != 0 || fchdir(root_.get()) != 0) return errno_error(root);
  TRY_ASSIGN(lock_, os::open("lock", O_RDWR | O_CREAT, 0600));
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return make_error(Code::invalid_argument, root + ": another daemon uses this root");
  TRY_ASSIGN(auto leftovers, detach_leftovers(root));
  for (const std::string& mountpoint : leftovers)
    log_line(
        LogLevel::error, "keeper",
        mountpoint + ": was left mounted by a daemon that died: detached, its readers may have seen zeros");
  TRY(os::make_directory("blobs", 0700));
  std::error_code ignored;  // what remains is replaced or in nobody's way
  std::filesystem::remove_all("mounts", ignored);
  return os::make_directory("mounts", 0700);
}

Result<void> Keeper::open_group() {
  int fd = fanotify_init(
      FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
      O_RDONLY | O_LARGEFILE | O_CLOEXEC);
  if (fd < 0)
    return errno_error(errno == EPERM    ? "fanotify group (needs CAP_SYS_ADMIN)"
                       : errno == EINVAL ? "fanotify group (FANOTIFY_ACCESS_PERMISSIONS in this kernel?)"
                                         : "fanotify group");
  group_ = os::UniqueFd(fd);
  files_ = DataFiles(fd);
  return {};
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
