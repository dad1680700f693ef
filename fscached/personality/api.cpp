#include "fscached/personality/api.h"

#include <fmt/format.h>

#include "erofs-format/base/log.h"
#include "erofs-format/image/json.h"
#include "fscached/control/source_settings.h"
#include "fscached/personality/launcher_wire.h"
#include "fscached/version.h"

namespace fscached {

namespace {

HttpResponse done() { return {}; }

HttpResponse answer(const json& value) {
  return {200, value.dump(-1, ' ', false, json::error_handler_t::replace)};
}

// The form every failure has; the code is never another one.
HttpResponse failure(int status, const std::string& message) {
  HttpResponse response = answer({{"code", "UNDEFINED"}, {"message", message}});
  response.status = status;
  return response;
}

HttpResponse failure(const Error& error) {
  log_line(LogLevel::error, "nydusd", error.message);
  switch (error.code) {
    case Code::invalid_argument:
    case Code::corrupt: return failure(400, error.message);
    case Code::unsupported: return failure(501, error.message);
    default: return failure(500, error.message);
  }
}

HttpResponse finish(const Result<void>& result) { return result ? done() : failure(result.error()); }

const char* text_of(Api::State state) {
  switch (state) {
    case Api::State::init: return "INIT";
    case Api::State::ready: return "READY";
    case Api::State::running: return "RUNNING";
  }
  return "UNKNOWN";
}

struct MountBody {
  std::string bootstrap;
  ImageConfig config;
};

Result<MountBody> read_mount_body(const HttpRequest& request) {
  TRY_ASSIGN(Json parsed, parse_document(as_bytes(request.body), "request"));
  JsonField document(parsed, "request");
  TRY_ASSIGN(std::string kind, document.member("fs_type").optional_text());
  if (!kind.empty() && kind != "rafs")
    return make_error(Code::unsupported, "fs_type '" + printable(kind) + "': only rafs is mounted");
  MountBody body;
  TRY_ASSIGN(body.bootstrap, document.member("source").text());
  TRY_ASSIGN(std::string config, document.member("config").text());
  TRY_ASSIGN(body.config, parse_image_config(as_bytes(config)));
  return body;
}

}  // namespace

const Api::Route Api::kRoutes[] = {
    {"GET", "/api/v1/daemon", &Api::show_daemon},    {"GET", "/api/v2/daemon", &Api::show_daemon},
    {"PUT", "/api/v1/daemon/start", &Api::start},    {"PUT", "/api/v1/daemon/exit", &Api::exit},
    {"POST", "/api/v1/mount", &Api::mount_image},    {"PUT", "/api/v1/mount", &Api::remount_image},
    {"DELETE", "/api/v1/mount", &Api::umount_image},
};

HttpResponse Api::handle(const HttpRequest& request) {
  bool known = false;
  for (const Route& route : kRoutes) {
    if (request.path != route.path) continue;
    known = true;
    if (request.method == route.method) return (this->*route.handler)(request);
  }
  std::string what = request.method + " " + printable(request.path);
  return known ? failure(400, what + ": not with this method") : failure(404, what + ": no such route");
}

void Api::set_state(State state) {
  std::lock_guard lock(mutex_);
  state_ = state;
}

void Api::know(const std::string& name, const std::string& root, const std::string& bootstrap) {
  std::lock_guard lock(mutex_);
  instances_[name] = {root, bootstrap, {}};
}

bool Api::find(const std::string& name, Instance& instance) {
  std::lock_guard lock(mutex_);
  auto found = instances_.find(name);
  if (found == instances_.end()) return false;
  instance = found->second;
  return true;
}

// --- the daemon -----------------------------------------------------------------

HttpResponse Api::show_daemon(const HttpRequest& request) {
  std::lock_guard lock(mutex_);
  json info = {{"version",
                {{"package_ver", kVersion},
                 {"git_commit", build_id()},
                 {"build_time", "unknown"},
                 {"profile", "release"},
                 {"rustc", "none, fscached is C++"}}},
               {"id", options_.id.empty() ? json(nullptr) : json(options_.id)},
               {"supervisor", options_.supervisor.empty() ? json(nullptr) : json(options_.supervisor)},
               {"state", text_of(state_)},
               {"backend_collection", nullptr}};
  if (request.path != "/api/v1/daemon") return answer(info);
  json& backends = info["backend_collection"] = json::object();
  for (const auto& [name, instance] : instances_)
    backends[name] = {{"backend_type", "rafs"}, {"mountpoint", name}};
  return answer(info);
}

HttpResponse Api::start(const HttpRequest&) {
  std::lock_guard lock(mutex_);
  if (state_ == State::init) return failure(400, "start: the state is INIT: nothing was taken over yet");
  state_ = State::running;
  return done();
}

HttpResponse Api::exit(const HttpRequest&) {
  host_.leave();
  return done();
}

// --- mounts ---------------------------------------------------------------------

Result<void> Api::mount(const std::string& name, const std::string& bootstrap, const ImageConfig& config) {
  TRY_ASSIGN(std::string mountpoint, mountpoint_of(options_.mountpoint, name));
  Instance instance{config.work_dir + "/" + kPersonalityRoot, bootstrap, config};
  TRY_ASSIGN(os::UniqueFd file, host_.open_bootstrap(bootstrap));
  TRY_ASSIGN(json listed, host_.call(instance.root, {{"command", "list"}}));
  for (const json& image : listed["images"]) {
    if (image.value("mountpoint", "") != mountpoint || image.value("state", "") != "mounted") continue;
    if (image.value("image", "") != bootstrap)
      return make_error(Code::invalid_argument, name + ": another image is mounted there");
    know(name, instance.root, bootstrap);
    return {};
  }
  TRY(host_.make_mountpoint(name));
  json request = {{"command", "mount"}, {"mountpoint", mountpoint}, {"bootstrap", bootstrap}};
  add_source_settings(request, {config.where, config.plain_http, config.credential});
  auto mounted = host_.call(instance.root, request, file.get());
  if (!mounted) {
    [[maybe_unused]] auto removed = host_.remove_mountpoint(name);
    return std::move(mounted).error().within(name);
  }
  std::lock_guard lock(mutex_);
  instances_[name] = std::move(instance);
  return {};
}

Result<void> Api::umount(const std::string& name) {
  TRY_ASSIGN(std::string mountpoint, mountpoint_of(options_.mountpoint, name));
  Instance instance;
  if (!find(name, instance)) return make_error(Code::not_found, name + ": no image is mounted there");
  TRY(host_.call(instance.root, {{"command", "umount"}, {"mountpoint", mountpoint}}));
  {
    std::lock_guard lock(mutex_);
    instances_.erase(name);
  }
  return host_.remove_mountpoint(name);
}

HttpResponse Api::mount_image(const HttpRequest& request) {
  auto body = read_mount_body(request);
  if (!body) return failure(body.error());
  return finish(mount(request.parameter("mountpoint"), body->bootstrap, body->config));
}

// One after the other: there is no moment at which the kernel would show both.
HttpResponse Api::remount_image(const HttpRequest& request) {
  auto body = read_mount_body(request);
  if (!body) return failure(body.error());
  std::string name = request.parameter("mountpoint");
  auto gone = umount(name);
  if (!gone) return failure(gone.error());
  return finish(mount(name, body->bootstrap, body->config));
}

HttpResponse Api::umount_image(const HttpRequest& request) {
  return finish(umount(request.parameter("mountpoint")));
}

}  // namespace fscached
