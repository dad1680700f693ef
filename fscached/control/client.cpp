#include "fscached/control/client.h"

#include <fmt/format.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "fscached/control/config.h"
#include "fscached/storage/named_image.h"

namespace fscached {

std::string socket_of(const Arguments& arguments) {
  if (auto socket = arguments.value("socket")) return *socket;
  if (auto root = arguments.value("root")) return *root + "/fscached.sock";
  return kDefaultSocket;
}

Result<json> call(const std::string& socket, const json& request, const OnProgress& on_progress,
                  int descriptor) {
  TRY_ASSIGN(LineSocket line, LineSocket::connect(socket));
  return call_over(std::move(line), request, on_progress, descriptor);
}

Result<json> call_over(LineSocket line, const json& request, const OnProgress& on_progress, int descriptor) {
  TRY(line.write(request, descriptor));
  for (;;) {
    auto text = line.read_line();
    if (!text && text.error().code == Code::cancelled)
      return make_error(Code::cancelled, "the daemon's worker ended before it answered: try again");
    if (!text) return std::move(text).error();
    json reply = json::parse(*text, nullptr, false);
    if (reply.is_object() && reply.contains("result")) return reply["result"];
    if (reply.is_object() && reply.contains("progress")) {
      if (on_progress) on_progress(reply["progress"]);
      continue;
    }
    Error error = make_error(Code::io, "the daemon's answer makes no sense");
    if (!reply.is_object() || !reply["error"].is_object()) return error;
    const json& details = reply["error"];
    error.message = details.value("message", error.message);
    error.sys_errno = details.value("errno", 0);
    error.exit_code = details.value("exit_status", 1);
    return error;
  }
}

Result<json> call_with_progress(const Arguments& arguments, const json& request) {
  bool live = isatty(STDERR_FILENO) && !arguments.has("quiet");
  auto progress = [live](const json& state) {
    if (live)
      fmt::print(stderr, "\r{} of {} ", megabytes(state.value("done_bytes", uint64_t{0})),
                 megabytes(state.value("bytes", uint64_t{0})));
  };
  auto result = call(socket_of(arguments), request, progress);
  if (live) fmt::print(stderr, "\n");
  return result;
}

Result<void> print(const std::string& text) {
  if (fwrite(text.data(), 1, text.size(), stdout) != text.size() || fflush(stdout) != 0)
    return errno_error("standard output");
  return {};
}

Result<void> print_json(const json& value) {
  return print(value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

std::string megabytes(uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

Result<std::string> real_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (!realpath(path.c_str(), resolved)) return errno_error(path);
  return std::string(resolved);
}

Result<std::string> image_name(const std::string& text) {
  auto path = real_path(text);
  if (path) return path;
  auto name = full_image_name(text);
  return name ? name : path;
}

}  // namespace fscached
