#include "fscached/control/server.h"

#include <poll.h>
#include <unistd.h>

#include <thread>

#include "erofs-format/base/log.h"
#include "fscached/control/line_socket.h"
#include "fscached/control/operations.h"

namespace fscached {

namespace {

Result<json> dispatch(Daemon& daemon, const json& request, os::UniqueFd descriptor,
                      const Progress& progress) {
  std::string command = text_field(request, "command");
  if (command == "mount") return mount_image(daemon, request, std::move(descriptor));
  if (command == "add") return add_image(daemon, request, std::move(descriptor));
  if (command == "remove") return remove_image(daemon, request);
  if (command == "prune") return prune_cache(daemon, request);
  if (command == "umount") return umount_image(daemon, request);
  if (command == "fetch") return fetch_image(daemon, request, progress);
  if (command == "scrub") return scrub_cache(daemon, progress);
  if (command == "list") return list_images(daemon);
  if (command == "status") return show_status(daemon);
  if (command == "stats") return show_stats(daemon);
  return make_error(Code::unsupported, "command '" + printable(command) + "' is not known to the daemon");
}

json error_reply(const Error& error) {
  return {
      {"error", {{"message", error.message}, {"errno", error.sys_errno}, {"exit_status", error.exit_code}}}};
}

void serve_connection(Daemon& daemon, os::UniqueFd socket) {
  LineSocket line(std::move(socket));
  auto text = line.read_line();
  if (!text) return;
  json request = json::parse(*text, nullptr, false);
  if (!request.is_object())
    return (void)line.write(error_reply(make_error(Code::corrupt, "request is no JSON object")));
  // A client that went away misses its answer; what it asked for is done all the same.
  auto progress = [&](const json& state) { (void)line.write({{"progress", state}}); };
  auto result = dispatch(daemon, request, line.take_descriptor(), progress);
  (void)line.write(result ? json{{"result", *result}} : error_reply(result.error()));
}

// False: no more are let in.
bool accept_one(Daemon& daemon, int listener) {
  os::UniqueFd socket;
  switch (daemon.gate().let_in(listener, socket)) {
    case ConnectionGate::Verdict::closed: return false;
    case ConnectionGate::Verdict::full:
      log_line(LogLevel::warn, "control", "too many connections: one refused");
      return true;
    case ConnectionGate::Verdict::nobody:
      // No descriptor is free: it goes on waiting there.
      if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      return true;
    case ConnectionGate::Verdict::came: break;
  }
  std::thread([&daemon, fd = socket.release()] {
    serve_connection(daemon, os::UniqueFd(fd));
    daemon.gate().leave();
  }).detach();
  return true;
}

void accept_loop(Daemon& daemon, int listener) {
  pollfd waiting = {listener, POLLIN, 0};
  do {
    poll(&waiting, 1, -1);
  } while (accept_one(daemon, listener));
}

}  // namespace

void start_control_server(Daemon& daemon, int listener) {
  std::thread([&daemon, listener] { accept_loop(daemon, listener); }).detach();
}

}  // namespace fscached
