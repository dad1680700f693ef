// The commands that talk to a running daemon.
#include <fmt/format.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "fscached/control/commands.h"
#include "fscached/control/config.h"
#include "fscached/control/line_socket.h"
#include "fscached/storage/named_image.h"

namespace fscached {

using nlohmann::json;

namespace {

constexpr Option kCommonOptions[] = {
    {"socket", 0, "PATH", "of the daemon (/run/fscached/fscached.sock)"},
    {"root", 0, "DIR", "accepted as by serve; without --socket, DIR/fscached.sock"},
    {"json", 0, "", "answer as JSON"},
    {"quiet", 'q', "", "no progress"},
};

constexpr Option kMountOptions[] = {
    {"bootstrap", 0, "FILE", "bootstrap of the image, or a blob that has it inside"},
    {"blobs", 0, "WHERE", "a directory, http(s)://.../ or docker://HOST/NAME"},
    {"options", 'o', "OPTIONS", "ro,nodev,nosuid,noexec,noatime"},
    {"socket", 0, "PATH", "of the daemon (/run/fscached/fscached.sock)"},
    {"root", 0, "DIR", "accepted as by serve; without --socket, DIR/fscached.sock"},
    {"json", 0, "", "answer as JSON"},
    {"quiet", 'q', "", "no progress"},
};

constexpr Option kHelperOptions[] = {
    {"options", 'o', "OPTIONS", "bootstrap=FILE,blobs=WHERE,socket=PATH and mount options"},
    {"sloppy", 's', "", "accepted, as mount(8) passes it"},
    {"fake", 'f', "", "do everything but mount"},
    {"no-mtab", 'n', "", "accepted, as mount(8) passes it"},
    {"verbose", 'v', "", "accepted, as mount(8) passes it"},
};

std::string socket_of(const Arguments& arguments) {
  if (auto socket = arguments.value("socket")) return *socket;
  if (auto root = arguments.value("root")) return *root + "/fscached.sock";
  return kDefaultSocket;
}

using OnProgress = std::function<void(const json&)>;

// Sends one request and waits for its end.
Result<json> call(const std::string& socket, const json& request, const OnProgress& on_progress = {}) {
  TRY_ASSIGN(LineSocket line, LineSocket::connect(socket));
  TRY(line.write(request));
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

Result<void> print(const std::string& text) {
  if (fwrite(text.data(), 1, text.size(), stdout) != text.size() || fflush(stdout) != 0)
    return errno_error("standard output");
  return {};
}

Result<void> print_json(const json& value) {
  return print(value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

Result<std::string> real_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (!realpath(path.c_str(), resolved)) return errno_error(path);
  return std::string(resolved);
}

// A folder becomes absolute; URLs stay.
Result<std::string> where_of(const std::string& where) {
  if (where.find("://") != where.npos) return where;
  return real_path(where);
}

std::string megabytes(uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

// --- mount, umount ------------------------------------------------------------

struct MountRequest {
  std::string bootstrap, blobs, mountpoint, options;
  std::string image = {};  // its name when that is not the bootstrap's
};

Result<json> request_mount(const std::string& socket, const MountRequest& mount) {
  json request = {{"command", "mount"}, {"options", mount.options}, {"image", mount.image}};
  TRY_ASSIGN(request["bootstrap"], real_path(mount.bootstrap));
  TRY_ASSIGN(request["blobs"], where_of(mount.blobs));
  TRY_ASSIGN(request["mountpoint"], real_path(mount.mountpoint));
  return call(socket, request);
}

// The daemon keeps its own copy of the bootstrap, so that ours is gone afterwards.
Result<json> request_named_mount(const std::string& socket, const std::string& image,
                                 const std::string& mountpoint, const std::string& options) {
  TRY_ASSIGN(NamedImage named, open_named_image(image));
  TRY_ASSIGN(os::PendingFile file, os::PendingFile::create("/tmp", 0600));
  TRY(os::write_all(file.fd(), named.bootstrap, file.temporary_path()));
  return request_mount(socket, {file.temporary_path(), named.where, mountpoint, options, named.name});
}

Result<void> run_mount(const Arguments& arguments) {
  const auto& operands = arguments.positional();
  bool by_parts = arguments.has("bootstrap") || arguments.has("blobs");
  if (operands.size() == 2 && !by_parts) {
    TRY_ASSIGN(json named, request_named_mount(socket_of(arguments), operands[0], operands[1],
                                               arguments.value_or("options", "")));
    return arguments.has("json") ? print_json(named) : Result<void>();
  }
  if (operands.size() != 1 || !arguments.has("bootstrap") || !arguments.has("blobs"))
    return usage_error("mount: wanted are IMAGE MOUNTPOINT or --bootstrap FILE --blobs WHERE MOUNTPOINT");
  TRY_ASSIGN(json result,
             request_mount(socket_of(arguments), {*arguments.value("bootstrap"), *arguments.value("blobs"),
                                                  operands[0], arguments.value_or("options", "")}));
  return arguments.has("json") ? print_json(result) : Result<void>();
}

// Takes "KEY=VALUE" words out of a comma list; the rest stays in order.
std::string take_option(std::string& list, const std::string& key) {
  std::string value, rest;
  for (size_t start = 0; start < list.size();) {
    size_t end = std::min(list.find(',', start), list.size());
    std::string word = list.substr(start, end - start);
    start = end + 1;
    if (word.starts_with(key + "="))
      value = word.substr(key.size() + 1);
    else
      rest += (rest.empty() ? "" : ",") + word;
  }
  list = rest;
  return value;
}

// mount(8) passes on what it took for itself, and "rw" when nothing was said.
std::string without_words_of_mount(const std::string& list) {
  std::string rest;
  for (size_t start = 0; start < list.size();) {
    size_t end = std::min(list.find(',', start), list.size());
    std::string word = list.substr(start, end - start);
    start = end + 1;
    if (word != "rw" && word != "_netdev" && word != "nofail") rest += (rest.empty() ? "" : ",") + word;
  }
  return rest;
}

Result<void> run_helper(const Arguments& arguments) {
  const auto& operands = arguments.positional();
  if (operands.size() != 2) return usage_error("wanted are IMAGE MOUNTPOINT [-o OPTIONS]");
  std::string options = without_words_of_mount(arguments.value_or("options", ""));
  std::string bootstrap = take_option(options, "bootstrap");
  std::string blobs = take_option(options, "blobs");
  std::string socket = take_option(options, "socket");
  if (socket.empty()) socket = kDefaultSocket;
  if (arguments.has("fake")) return {};
  if (bootstrap.empty() || blobs.empty()) {
    TRY_ASSIGN(json named, request_named_mount(socket, operands[0], operands[1], options));
    return {};
  }
  TRY_ASSIGN(json result, request_mount(socket, {bootstrap, blobs, operands[1], options}));
  return {};
}

Result<void> run_umount(const Arguments& arguments) {
  if (arguments.positional().size() != 1) return usage_error("umount: wanted is one MOUNTPOINT");
  // The mountpoint itself may be gone or hang: only its folder is resolved.
  std::string path = arguments.positional()[0];
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  TRY_ASSIGN(std::string folder, real_path(os::parent_directory(path)));
  std::string name = os::base_name(path);
  std::string mountpoint = folder == "/" ? "/" + name : folder + "/" + name;
  TRY_ASSIGN(json result, call(socket_of(arguments), {{"command", "umount"}, {"mountpoint", mountpoint}}));
  if (result.value("lingers", false))
    fmt::print(stderr,
               "fscached: {}: unmounted here, still in use elsewhere: its reads go on being answered\n",
               mountpoint);
  return arguments.has("json") ? print_json(result) : Result<void>();
}

// --- what there is ---------------------------------------------------------------

Result<void> run_list(const Arguments& arguments) {
  TRY_ASSIGN(json result, call(socket_of(arguments), {{"command", "list"}}));
  if (arguments.has("json")) return print_json(result["images"]);
  std::string text;
  for (const json& image : result["images"])
    text += fmt::format("{}\t{}\t{} of {}\t{}\t{}\n", image.value("mountpoint", ""), image.value("state", ""),
                        megabytes(image.value("present_bytes", uint64_t{0})),
                        megabytes(image.value("chunk_bytes", uint64_t{0})), image.value("image", ""),
                        image.value("blobs", ""));
  return print(text);
}

// "name: value" lines, groups with a dot.
void flatten(const json& value, const std::string& prefix, std::string& text) {
  for (const auto& [key, inner] : value.items()) {
    if (inner.is_object())
      flatten(inner, prefix + key + ".", text);
    else
      text +=
          fmt::format("{}{}: {}\n", prefix, key, inner.is_string() ? inner.get<std::string>() : inner.dump());
  }
}

Result<void> run_show(const Arguments& arguments, const char* command) {
  if (!arguments.positional().empty()) return usage_error(fmt::format("{}: takes no operands", command));
  TRY_ASSIGN(json result, call(socket_of(arguments), {{"command", command}}));
  if (arguments.has("json")) return print_json(result);
  std::string text;
  flatten(result, "", text);
  return print(text);
}

Result<void> run_status(const Arguments& arguments) { return run_show(arguments, "status"); }
Result<void> run_stats(const Arguments& arguments) { return run_show(arguments, "stats"); }

// A line on a terminal says how far it is.
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

// What a mounted image goes by: its mountpoint or bootstrap, or the reference it was mounted by.
Result<std::string> mounted_name(const std::string& text) {
  auto path = real_path(text);
  if (path) return path;
  auto name = full_image_name(text);
  return name ? name : path;
}

Result<void> run_fetch(const Arguments& arguments) {
  if (arguments.positional().size() != 1)
    return usage_error("fetch: wanted is one IMAGE, MOUNTPOINT or bootstrap FILE");
  TRY_ASSIGN(std::string image, mounted_name(arguments.positional()[0]));
  TRY_ASSIGN(json result, call_with_progress(arguments, {{"command", "fetch"}, {"image", image}}));
  return arguments.has("json") ? print_json(result) : Result<void>();
}

Result<void> run_scrub(const Arguments& arguments) {
  if (!arguments.positional().empty()) return usage_error("scrub: takes no operands");
  TRY_ASSIGN(json result, call_with_progress(arguments, {{"command", "scrub"}}));
  auto number = [&](const char* name) { return result.value(name, uint64_t{0}); };
  if (arguments.has("json")) {
    TRY(print_json(result));
  } else {
    TRY(print(fmt::format("{} chunks of {} blobs verified, {}: {} repaired, {} lost\n", number("chunks"),
                          number("blobs"), megabytes(number("bytes")), number("repaired"), number("lost"))));
    if (number("unused_blobs") > 0)
      TRY(print(fmt::format("{} blobs are not in use: verified when they are\n", number("unused_blobs"))));
  }
  if (number("lost") == 0) return {};
  return make_error(Code::io, fmt::format("{} chunks were wrong and could not be fetched again: {}",
                                          number("lost"), result.value("problem", "")));
}

}  // namespace

const Command kMountCommand = {"mount", "[OPTIONS] IMAGE MOUNTPOINT",
                               "Mount an image; returns when a read has proved the mount.", kMountOptions,
                               run_mount};
const Command kUmountCommand = {"umount", "[OPTIONS] MOUNTPOINT", "Unmount an image; what was fetched stays.",
                                kCommonOptions, run_umount};
const Command kListCommand = {"list", "[OPTIONS]", "List the mounted images.", kCommonOptions, run_list};
const Command kStatusCommand = {"status", "[OPTIONS]", "Show the state of the daemon.", kCommonOptions,
                                run_status};
const Command kStatsCommand = {"stats", "[OPTIONS]", "Show its counters.", kCommonOptions, run_stats};
const Command kFetchCommand = {"fetch", "[OPTIONS] IMAGE|MOUNTPOINT|BOOTSTRAP",
                               "Make an image complete and local now.", kCommonOptions, run_fetch};
const Command kScrubCommand = {"scrub", "[OPTIONS]",
                               "Verify everything in the cache; fetch again what is wrong.", kCommonOptions,
                               run_scrub};
const Command kMountHelper = {"", "IMAGE MOUNTPOINT [-o OPTIONS]", "Mount an image, called by mount(8).",
                              kHelperOptions, run_helper};

}  // namespace fscached
