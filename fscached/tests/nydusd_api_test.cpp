// nydusd's API without processes: what a request makes it ask of others, and what it answers.
#include "fscached/personality/api.h"

#include <doctest/doctest.h>

using namespace fscached;

namespace {

// Remembers what it was asked; `mounted` is what its daemon lists.
struct Host final : ApiHost {
  Result<json> call(const std::string& root, const json& request, int) override {
    std::string command = request["command"];
    asked.push_back(root + " " + command);
    if (refuses == command) return make_error(Code::network, "the origin is away");
    if (command == "list") return json{{"images", mounted}};
    last = request;
    if (command == "mount")
      mounted.push_back(
          {{"mountpoint", request["mountpoint"]}, {"state", "mounted"}, {"image", request["bootstrap"]}});
    if (command == "umount") mounted.clear();
    return json::object();
  }
  Result<os::UniqueFd> open_bootstrap(const std::string&) override { return os::UniqueFd(); }
  Result<void> make_mountpoint(const std::string& name) override {
    return asked.push_back("make " + name), Result<void>();
  }
  Result<void> remove_mountpoint(const std::string& name) override {
    return asked.push_back("remove " + name), Result<void>();
  }
  void leave() override { asked.push_back("leave"); }

  std::vector<std::string> asked;
  json mounted = json::array(), last;
  std::string refuses;
};

struct Fixture {
  json ask(const char* method, const std::string& path, int status, const std::string& body = "") {
    HttpRequest request;
    request.method = method;
    request.path = path.substr(0, path.find('?'));
    if (path.find('?') != path.npos) request.query = *parse_query(path.substr(path.find('?') + 1));
    request.body = body;
    HttpResponse response = api.handle(request);
    CAPTURE(response.body);
    CHECK(response.status == status);
    return response.body.empty() ? json() : json::parse(response.body);
  }
  NydusdOptions options;
  Host host;
  Api api{(options.mountpoint = "/r/mnt", options.id = "d1", options), host};
};

std::string mount_body(const std::string& source = "/s/image.boot") {
  json config = {{"device",
                  {{"backend",
                    {{"type", "registry"},
                     {"config", {{"host", "h:5"}, {"repo", "a/b"}, {"scheme", "http"}, {"auth", "dTpw"}}}}},
                   {"cache", {{"type", "blobcache"}, {"config", {{"work_dir", "/c"}}}}}}}};
  return json{{"fs_type", "rafs"}, {"source", source}, {"config", config.dump()}}.dump();
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "nydusd api: the daemon and its states") {
  json info = ask("GET", "/api/v1/daemon", 200);
  CHECK(info["id"] == "d1");
  CHECK(info["state"] == "INIT");
  CHECK(info["supervisor"].is_null());
  CHECK(info["version"].size() == 5);
  ask("PUT", "/api/v1/daemon/start", 400);
  api.set_state(Api::State::ready);
  ask("PUT", "/api/v1/daemon/start", 204);
  CHECK(ask("GET", "/api/v2/daemon", 200)["state"] == "RUNNING");
  ask("PUT", "/api/v1/daemon/exit", 204);
  CHECK(host.asked == std::vector<std::string>{"leave"});
}

TEST_CASE_FIXTURE(Fixture, "nydusd api: an image comes and goes") {
  ask("POST", "/api/v1/mount?mountpoint=/8", 204, mount_body());
  CHECK(host.asked == std::vector<std::string>{"/c/fscached list", "make /8", "/c/fscached mount"});
  CHECK(host.last == json{{"command", "mount"},
                          {"mountpoint", "/r/mnt/8"},
                          {"bootstrap", "/s/image.boot"},
                          {"blobs", "docker://h:5/a/b"},
                          {"plain_http", true},
                          {"credential", {{"user", "u"}, {"password", "p"}, {"registry_token", ""}}}});
  CHECK(ask("GET", "/api/v1/daemon", 200)["backend_collection"].contains("/8"));
  host.asked.clear();
  ask("POST", "/api/v1/mount?mountpoint=/8", 204, mount_body());
  CHECK(host.asked == std::vector<std::string>{"/c/fscached list"});
  ask("POST", "/api/v1/mount?mountpoint=/8", 400, mount_body("/s/other.boot"));
  host.asked.clear();
  ask("DELETE", "/api/v1/mount?mountpoint=/8", 204);
  CHECK(host.asked == std::vector<std::string>{"/c/fscached umount", "remove /8"});
  ask("DELETE", "/api/v1/mount?mountpoint=/8", 500);
}

TEST_CASE_FIXTURE(Fixture, "nydusd api: what fails leaves nothing and has the documented form") {
  host.refuses = "mount";
  json said = ask("POST", "/api/v1/mount?mountpoint=/8", 500, mount_body());
  CHECK(said == json{{"code", "UNDEFINED"}, {"message", "/8: the origin is away"}});
  CHECK(host.asked.back() == "remove /8");
  ask("POST", "/api/v1/mount?mountpoint=/8", 400, "{");
  ask("POST", "/api/v1/mount?mountpoint=/8", 400, R"({"source": "/s"})");
  ask("POST", "/api/v1/mount?mountpoint=/8", 501,
      R"({"fs_type": "passthrough_fs", "source": "/s", "config": ""})");
  ask("POST", "/api/v1/mount?mountpoint=/../8", 400, mount_body());
  ask("POST", "/api/v1/mount", 400, mount_body());
  ask("GET", "/api/v1/nothing", 404);
  ask("PATCH", "/api/v1/mount", 400);
}
