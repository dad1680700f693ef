#include "fscached/personality/api_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "erofs-format/base/log.h"
#include "fscached/control/client.h"
#include "fscached/control/connection_gate.h"
#include "fscached/control/sandbox.h"
#include "fscached/keeper/worker_process.h"
#include "fscached/log_level.h"
#include "fscached/personality/api.h"
#include "fscached/personality/launcher_wire.h"

namespace fscached {

namespace {

// One question at a time.
class LauncherLink final : public ApiHost {
 public:
  explicit LauncherLink(int socket) : socket_(socket) {}

  Result<LauncherReceived> ask(LauncherOp op, const std::string& text, uint32_t number = 0) {
    LauncherMessage message;
    message.op = op;
    message.number = number;
    if (!message.set_text(text)) return make_error(Code::too_large, text + ": too long");
    std::lock_guard lock(mutex_);
    TRY(send_launcher_message(socket_, message));
    TRY_ASSIGN(LauncherReceived received, receive_launcher_message(socket_));
    if (received.message.error == 0) return received;
    Code code = received.message.error == EINVAL ? Code::invalid_argument : Code::io;
    return Error{code, received.message.error, received.message.text_of(), 1};
  }

  Result<json> call(const std::string& root, const json& request, int descriptor) override {
    TRY_ASSIGN(LauncherReceived opened, ask(LauncherOp::open_daemon, root));
    return call_over(LineSocket(std::move(opened.descriptor)), request, {}, descriptor);
  }
  Result<os::UniqueFd> open_bootstrap(const std::string& path) override {
    TRY_ASSIGN(LauncherReceived opened, ask(LauncherOp::open_bootstrap, path));
    return std::move(opened.descriptor);
  }
  Result<void> make_mountpoint(const std::string& name) override {
    TRY(ask(LauncherOp::make_mountpoint, name));
    return {};
  }
  Result<void> remove_mountpoint(const std::string& name) override {
    TRY(ask(LauncherOp::remove_mountpoint, name));
    return {};
  }
  // The answer to who asked for it is on its way first.
  void leave() override {
    std::thread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      [[maybe_unused]] auto asked = ask(LauncherOp::leave, "");
    }).detach();
  }

 private:
  std::mutex mutex_;
  const int socket_;
};

bool write_all(int socket, std::string_view bytes) {
  return static_cast<bool>(os::write_all(socket, as_bytes(bytes), "connection"));
}

// A connection may stay open and say nothing for ever: the snapshotter sees by one whether we live.
void serve_connection(Api& api, const os::UniqueFd& socket) {
  HttpRequestReader reader;
  uint8_t bytes[4096];
  ByteView came;
  for (;;) {
    auto request = reader.take(came);
    came = {};
    if (!request) {
      HttpResponse refused = {request.error().code == Code::too_large ? 413 : 400,
                              json{{"code", "UNDEFINED"}, {"message", request.error().message}}.dump()};
      write_all(socket.get(), to_bytes(refused, false));
      return;
    }
    if (*request) {
      bool keep = (*request)->keep_alive;
      if (!write_all(socket.get(), to_bytes(api.handle(**request), keep)) || !keep) return;
      continue;
    }
    if (reader.wants_continue() && !write_all(socket.get(), "HTTP/1.1 100 Continue\r\n\r\n")) return;
    ssize_t size = recv(socket.get(), bytes, sizeof(bytes), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    came = {bytes, static_cast<size_t>(size)};
  }
}

[[noreturn]] void accept_loop(Api& api, int listener) {
  static ConnectionGate gate;
  pollfd waiting = {listener, POLLIN, 0};
  for (;;) {
    poll(&waiting, 1, -1);
    os::UniqueFd socket;
    if (gate.let_in(listener, socket) != ConnectionGate::Verdict::came) {
      // No descriptor is free, or nobody comes in before somebody leaves.
      if (errno != EAGAIN) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    std::thread([&api, fd = socket.release()] {
      serve_connection(api, os::UniqueFd(fd));
      gate.leave();
    }).detach();
  }
}

// What a predecessor of this process mounted, and where.
Result<void> remember(LauncherLink& launcher, const NydusdOptions& options, Api& api) {
  for (uint32_t number = 0;; number++) {
    TRY_ASSIGN(LauncherReceived known, launcher.ask(LauncherOp::known_root, "", number));
    std::string root = known.message.text_of();
    if (root.empty()) return {};
    TRY_ASSIGN(json listed, launcher.call(root, {{"command", "list"}}, -1));
    for (const json& image : listed["images"]) {
      std::string path = image.value("mountpoint", "");
      if (image.value("state", "") != "mounted" || !path.starts_with(options.mountpoint)) continue;
      std::string name = path.substr(options.mountpoint.size());
      if (name.empty() || name.starts_with('/'))
        api.know(name.empty() ? "/" : name, root, image.value("image", ""));
    }
  }
}

Result<ImageConfig> config_of(LauncherLink& launcher, const NydusdOptions& options) {
  TRY_ASSIGN(LauncherReceived opened, launcher.ask(LauncherOp::open_config, ""));
  TRY_ASSIGN(Buffer text, os::read_file(opened.descriptor.get(), options.config, kMaxApiBodyBytes));
  auto config = parse_image_config(text);
  if (!config) return std::move(config).error().within(options.config);
  if (!options.localfs_folder.empty()) config->where = options.localfs_folder;
  return config;
}

Result<void> mount_dedicated(LauncherLink& launcher, const NydusdOptions& options, Api& api) {
  TRY_ASSIGN(ImageConfig config, config_of(launcher, options));
  return api.mount("/", options.bootstrap, config);
}

}  // namespace

Result<void> run_api(const std::vector<std::string>& words) {
  prctl(PR_SET_NAME, "nydusd-api");
  signal(SIGPIPE, SIG_IGN);
  TRY_ASSIGN(NydusdOptions options, parse_nydusd(words));
  set_log_level(log_level_named(options.log_level));
  TRY(confine_files(-1));
  TRY(confine_calls());
  TRY(receive_launcher_message(keeper::kWorkerSocket));  // begin
  // Threads use them to the end of the process.
  static LauncherLink launcher(keeper::kWorkerSocket);
  static Api api(options, launcher);
  TRY(remember(launcher, options, api));
  if (!options.api_socket.empty()) std::thread([] { accept_loop(api, keeper::kWorkerListener); }).detach();
  if (options.mode == NydusdOptions::Mode::dedicated) {
    auto mounted = mount_dedicated(launcher, options, api);
    if (!mounted) _exit((log_line(LogLevel::error, "nydusd", mounted.error().message), 1));
  }
  if (!options.upgrade) api.set_state(Api::State::running);
  // Without the launcher nothing can be done any more.
  pollfd gone = {keeper::kWorkerSocket, 0, 0};
  while (poll(&gone, 1, -1) < 0) continue;
  _exit(0);
}

}  // namespace fscached
