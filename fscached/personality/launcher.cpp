#include "fscached/personality/launcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

#include "erofs-format/base/log.h"
#include "fscached/control/client.h"
#include "fscached/control/config.h"
#include "fscached/control/line_socket.h"
#include "fscached/control/worker_user.h"
#include "fscached/keeper/exec_words.h"
#include "fscached/keeper/worker_process.h"
#include "fscached/log_level.h"

namespace fscached {

namespace {

constexpr std::string_view kComponent = "nydusd";
constexpr int kDaemonStartMs = 20'000;
constexpr int kDaemonStopMs = 60'000;
constexpr int kStepMs = 10;

void info(const std::string& message) { log_line(LogLevel::info, kComponent, message); }
void warn(const std::string& message) { log_line(LogLevel::warn, kComponent, message); }

std::string socket_below(const std::string& root) { return root + "/fscached.sock"; }

Result<void> redirect_log(const std::string& path) {
  if (path.empty()) return {};
  TRY(os::make_directories(os::parent_directory(path), 0755));
  TRY_ASSIGN(os::UniqueFd file, os::open(path, O_WRONLY | O_CREAT | O_APPEND, 0644));
  for (int standard : {STDOUT_FILENO, STDERR_FILENO})
    if (dup2(file.get(), standard) < 0) return errno_error(path);
  return {};
}

Result<os::UniqueFd> watch_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, signal);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return errno_error("sigprocmask");
  os::UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return errno_error("signalfd");
  return fd;
}

// What a predecessor that was killed left: its images are still served below it.
bool is_our_folder(const std::string& path) {
  struct statx status = {};
  struct statfs kind = {};
  return statx(AT_FDCWD, path.c_str(), AT_NO_AUTOMOUNT, STATX_TYPE, &status) == 0 &&
         (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) && statfs(path.c_str(), &kind) == 0 &&
         kind.f_type == TMPFS_MAGIC;
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return make_error(Code::invalid_argument, path + ": longer than a socket's path can be");
  path.copy(address.sun_path, path.size());
  return address;
}

// An image, as far as one sees from outside: whoever asks through us reads no other file of the host.
Result<os::UniqueFd> open_bootstrap(const std::string& path) {
  TRY_ASSIGN(os::UniqueFd file, os::open(path, O_RDONLY | O_NONBLOCK));
  TRY_ASSIGN(struct stat status, os::stat_of(file.get(), path));
  constexpr uint8_t kMagic[4] = {0xe2, 0xe1, 0xf5, 0xe0};
  constexpr uint64_t kMagicOffset = 1024;
  uint8_t found[4] = {};
  if (!S_ISREG(status.st_mode) || !os::pread_exact(file.get(), kMagicOffset, found, path) ||
      std::memcmp(found, kMagic, sizeof(kMagic)) != 0)
    return make_error(Code::corrupt, path +
                                         ": is no RAFS v6 bootstrap (no EROFS superblock in it): is the "
                                         "image a Nydus image, converted with --fs-version 6?");
  return file;
}

[[noreturn]] void become_daemon(std::vector<std::string>& words) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  int nothing = open("/dev/null", O_RDONLY);
  // It lives on when this one is killed.
  if (setsid() < 0 || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) _exit(126);
  execv("/proc/self/exe", keeper::exec_words(words).data());
  _exit(127);
}

}  // namespace

Launcher::Launcher(NydusdOptions options, std::vector<std::string> words)
    : options_(std::move(options)), words_(std::move(words)) {}

Launcher::~Launcher() {
  if (!options_.api_socket.empty() && listener_.valid()) unlink(options_.api_socket.c_str());
}

Result<void> Launcher::run(NydusdOptions options, std::vector<std::string> words) {
  TRY(redirect_log(options.log_file));
  set_log_level(log_level_named(options.log_level));
  // Of who started us: the daemons we start have no part in it.
  for (const char* variable : {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"}) unsetenv(variable);
  Launcher launcher(std::move(options), std::move(words));
  TRY(launcher.prepare());
  return launcher.serve();
}

Result<void> Launcher::prepare() {
  TRY_ASSIGN(user_, find_worker_user(kDefaultWorkerUser));
  TRY_ASSIGN(signals_, watch_signals());
  if (!options_.api_socket.empty()) TRY(listen());
  if (options_.mode == NydusdOptions::Mode::shared) TRY(show_folder());
  return start_api();
}

Result<void> Launcher::listen() {
  const std::string& path = options_.api_socket;
  TRY_ASSIGN(sockaddr_un address, address_of(path));
  if (LineSocket::connect(path)) return make_error(Code::invalid_argument, path + ": a daemon listens there");
  TRY(os::make_directories(os::parent_directory(path), 0755));
  unlink(path.c_str());
  os::UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return errno_error("socket");
  mode_t before = umask(0177);
  int bound = bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  umask(before);
  if (bound != 0 || ::listen(listener.get(), kMaxControlConnections) != 0) return errno_error(path);
  listener_ = std::move(listener);
  return {};
}

// The snapshotter looks whether the mountpoint is one.
Result<void> Launcher::show_folder() {
  const std::string& path = options_.mountpoint;
  TRY(os::make_directories(path, 0755));
  if (!is_our_folder(path) &&
      mount("nydusd", path.c_str(), "tmpfs", MS_NODEV | MS_NOSUID, "mode=0755,size=1m") != 0)
    return errno_error(path + ": mount");
  made_folder_ = true;
  return {};
}

Result<void> Launcher::start_api() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno_error("socketpair");
  socket_ = os::UniqueFd(ends[0]);
  os::UniqueFd theirs(ends[1]);
  keeper::WorkerDescriptors descriptors;
  descriptors.socket = theirs.get();
  descriptors.listener = listener_.get();
  TRY_ASSIGN(api_, keeper::start_worker(descriptors, user_, words_, kApiCommand));
  return send_launcher_message(socket_.get(), {});
}

Result<void> Launcher::serve() {
  while (!leaving_ && !stopping_) {
    pollfd polls[] = {{signals_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    if (poll(polls, 2, -1) < 0) continue;
    if (polls[1].revents & POLLIN) on_request();
    signalfd_siginfo signal = {};
    while (read(signals_.get(), &signal, sizeof(signal)) == static_cast<ssize_t>(sizeof(signal))) {
      if (signal.ssi_signo == SIGCHLD)
        on_child_end();
      else
        stopping_ = true;
    }
  }
  if (leaving_) {
    info("leaving: what is mounted goes on being served");
    return {};
  }
  stop();
  return api_ == -2 ? make_error(Code::io, "nothing was mounted") : Result<void>();
}

// It ends by itself when the image of the command line cannot be mounted. Killed, it is replaced: what is
// mounted does not need it.
void Launcher::on_child_end() {
  int status = 0;
  for (pid_t child = 0; (child = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (child != api_) continue;
    api_ = -1;
    if (WIFEXITED(status)) {
      api_ = -2;
      stopping_ = true;
      continue;
    }
    warn(fmt::format("the API's process was killed by signal {}: the next starts", WTERMSIG(status)));
    auto started = start_api();
    if (!started) warn(started.error().message);
  }
}

void Launcher::on_request() {
  auto request = receive_launcher_message(socket_.get());
  if (!request) return socket_.reset();  // its end is seen by on_child_end()
  os::UniqueFd descriptor;
  auto answered = answer(request->message, &descriptor);
  LauncherMessage reply = answered ? *answered : LauncherMessage{};
  reply.op = request->message.op;
  if (!answered) {
    reply.error = answered.error().sys_errno ? answered.error().sys_errno : EINVAL;
    reply.set_text(std::string_view(answered.error().message).substr(0, kMaxPath - 1));
  }
  auto sent = send_launcher_message(socket_.get(), reply, descriptor.get());
  if (!sent) warn(sent.error().message);
}

Result<LauncherMessage> Launcher::answer(const LauncherMessage& request, os::UniqueFd* descriptor) {
  LauncherMessage reply;
  std::string text = request.text_of();
  switch (request.op) {
    case LauncherOp::open_daemon: {
      TRY_ASSIGN(*descriptor, open_daemon(text));
      break;
    }
    case LauncherOp::known_root: {
      if (request.number < roots_.size()) reply.set_text(std::next(roots_.begin(), request.number)->first);
      break;
    }
    case LauncherOp::open_bootstrap: {
      TRY_ASSIGN(*descriptor, open_bootstrap(text));
      break;
    }
    case LauncherOp::open_config: {
      TRY_ASSIGN(*descriptor, os::open(options_.config, O_RDONLY));
      break;
    }
    case LauncherOp::make_mountpoint: {
      TRY_ASSIGN(std::string path, mountpoint_of(options_.mountpoint, text));
      TRY(os::make_directories(path, 0755));
      break;
    }
    case LauncherOp::remove_mountpoint: TRY(remove_mountpoint(text)); break;
    case LauncherOp::leave: leaving_ = true; break;
    case LauncherOp::begin: return make_error(Code::invalid_argument, "launcher: no request");
  }
  return reply;
}

Result<void> Launcher::remove_mountpoint(const std::string& name) {
  TRY_ASSIGN(std::string path, mountpoint_of(options_.mountpoint, name));
  if (name != "/" && rmdir(path.c_str()) != 0 && errno != ENOENT) return errno_error(path);
  return {};
}

// --- the daemons ---------------------------------------------------------------

// Several of us may use one: each holds its lock, shared, and only who is alone ends it.
Result<os::UniqueFd> Launcher::open_daemon(const std::string& root) {
  if (!root.starts_with('/') || os::base_name(root) != kPersonalityRoot)
    return make_error(Code::invalid_argument, root + ": no root of a daemon");
  if (roots_.count(root) == 0) {
    TRY(os::make_directory(root, 0700));
    TRY_ASSIGN(os::UniqueFd lock, os::open(root + "/launcher.lock", O_RDWR | O_CREAT, 0600));
    if (flock(lock.get(), LOCK_SH) != 0) return errno_error(root + "/launcher.lock");
    roots_[root] = std::move(lock);
  }
  if (auto running = LineSocket::connect(socket_below(root))) return running->release();
  TRY(start_daemon(root));
  TRY_ASSIGN(LineSocket started, LineSocket::connect(socket_below(root)));
  return started.release();
}

Result<void> Launcher::start_daemon(const std::string& root) {
  std::vector<std::string> words = {"fscached",         "serve",       "--root",          root, "--socket",
                                    socket_below(root), "--log-level", options_.log_level};
  if (options_.mode == NydusdOptions::Mode::singleton) words.insert(words.end(), {"--backend", "cachefiles"});
  pid_t child = fork();
  if (child < 0) return errno_error("fork");
  if (child == 0) become_daemon(words);
  for (int waited = 0; waited < kDaemonStartMs; waited += kStepMs) {
    if (LineSocket::connect(socket_below(root))) return {};
    if (waitpid(child, nullptr, WNOHANG) == child)
      return make_error(Code::io, root + ": the daemon did not start; its log says why");
    usleep(kStepMs * 1000);
  }
  return errno_error(root + ": the daemon did not start", ETIMEDOUT);
}

// --- the end -------------------------------------------------------------------

void Launcher::stop() {
  info("stopping: unmounting");
  if (api_ > 0) {
    kill(api_, SIGKILL);
    waitpid(api_, nullptr, 0);
  }
  for (auto& [root, lock] : roots_) stop_daemon(root);
  if (made_folder_ && umount2(options_.mountpoint.c_str(), UMOUNT_NOFOLLOW) != 0)
    warn(errno_error(options_.mountpoint).message + ": images below it are in use and go on being served");
}

void Launcher::stop_daemon(const std::string& root) {
  auto connected = LineSocket::connect(socket_below(root));
  if (!connected) return;
  os::UniqueFd watched = connected->release();
  ucred keeper = {};
  socklen_t size = sizeof(keeper);
  if (getsockopt(watched.get(), SOL_SOCKET, SO_PEERCRED, &keeper, &size) != 0) return;
  auto listed = call(socket_below(root), {{"command", "list"}});
  if (!listed) return warn(listed.error().message);
  bool all_gone = true;
  for (const json& image : (*listed)["images"]) {
    std::string path = image.value("mountpoint", "");
    if (path != options_.mountpoint && !path.starts_with(options_.mountpoint + "/")) {
      all_gone = false;
      continue;
    }
    auto unmounted = call(socket_below(root), {{"command", "umount"}, {"mountpoint", path}});
    if (unmounted && !unmounted->value("lingers", false)) continue;
    all_gone = false;
    warn(unmounted ? path + ": is in use elsewhere and goes on being served" : unmounted.error().message);
  }
  if (!all_gone || flock(roots_[root].get(), LOCK_EX | LOCK_NB) != 0) return;
  os::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, keeper.pid, 0)));
  if (!process.valid() || kill(keeper.pid, SIGTERM) != 0) return;
  pollfd ended = {process.get(), POLLIN, 0};
  poll(&ended, 1, kDaemonStopMs);
}

Result<void> run_launcher(NydusdOptions options) {
  std::vector<std::string> words = words_of(options);
  return Launcher::run(std::move(options), std::move(words));
}

}  // namespace fscached
