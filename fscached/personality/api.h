// nydusd's HTTP API: from a request to an answer. What it needs of others it asks through ApiHost.
#pragma once

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "erofs-format/base/os.h"
#include "fscached/personality/http_request.h"
#include "fscached/personality/image_config.h"
#include "fscached/personality/nydusd_options.h"

namespace fscached {

using nlohmann::json;

// Calls come from several threads at once.
class ApiHost {
 public:
  virtual ~ApiHost() = default;
  // One command for the daemon whose root is `root`, which is started if need be.
  virtual Result<json> call(const std::string& root, const json& request, int descriptor = -1) = 0;
  virtual Result<os::UniqueFd> open_bootstrap(const std::string& path) = 0;
  virtual Result<void> make_mountpoint(const std::string& name) = 0;
  virtual Result<void> remove_mountpoint(const std::string& name) = 0;
  // The process ends soon; what is mounted stays.
  virtual void leave() = 0;
};

class Api {
 public:
  Api(const NydusdOptions& options, ApiHost& host) : options_(options), host_(host) {}

  // Any thread.
  HttpResponse handle(const HttpRequest& request);

  // As the command line says, before any request: the states nydusd has.
  enum class State { init, ready, running };
  void set_state(State state);
  // What another process mounted at `name` before, with blobs in the cache of the daemon at `root`.
  void know(const std::string& name, const std::string& root, const std::string& bootstrap);
  // `name`: "/8", or "/" for the mountpoint itself. What is there already, from the same bootstrap, is fine.
  Result<void> mount(const std::string& name, const std::string& bootstrap, const ImageConfig& config);

 private:
  struct Instance {
    std::string root, bootstrap;
    ImageConfig config;
  };
  using Handler = HttpResponse (Api::*)(const HttpRequest&);
  struct Route {
    const char* method;
    const char* path;
    Handler handler;
  };
  static const Route kRoutes[];

  HttpResponse show_daemon(const HttpRequest& request);
  HttpResponse start(const HttpRequest& request);
  HttpResponse exit(const HttpRequest& request);
  HttpResponse mount_image(const HttpRequest& request);
  HttpResponse remount_image(const HttpRequest& request);
  HttpResponse umount_image(const HttpRequest& request);

  Result<void> umount(const std::string& name);
  bool find(const std::string& name, Instance& instance);

  const NydusdOptions options_;
  ApiHost& host_;
  std::mutex mutex_;  // of what follows
  State state_ = State::init;
  std::map<std::string, Instance> instances_;  // by name
};

}  // namespace fscached
