#include "fscached/personality/image_config.h"

#include <doctest/doctest.h>

using namespace fscached;

namespace {

Result<ImageConfig> parse(const std::string& text) { return parse_image_config(as_bytes(text)); }

std::string refusal(const std::string& text) {
  auto config = parse(text);
  return config ? "" : config.error().message;
}

std::string with_cache(const std::string& backend, const std::string& cache) {
  return R"({"device": {"backend": )" + backend + R"(, "cache": )" + cache + "}}";
}

constexpr char kLocalfs[] = R"({"type": "localfs", "config": {"dir": "/blobs/"}})";
constexpr char kCache[] = R"({"type": "blobcache", "config": {"work_dir": "/cache/"}})";

}  // namespace

TEST_CASE("image config: as the FUSE daemon gets it") {
  auto config = parse(R"({
    "device": {"id": "/8", "backend": {"type": "registry", "config": {
        "host": "127.0.0.1:5000", "repo": "a/b", "scheme": "http", "auth": "dXNlcjpwYTpzcw==", "timeout": 5,
        "proxy": {"url": ""}, "unheard_of": [1]}},
      "cache": {"type": "blobcache", "config": {"work_dir": "/r/cache"}}},
    "mode": "direct", "digest_validate": false, "amplify_io": 1048576,
    "fs_prefetch": {"enable": true, "prefetch_all": true, "threads_count": 8}})");
  REQUIRE(config);
  CHECK(config->where == "docker://127.0.0.1:5000/a/b");
  CHECK(config->plain_http);
  CHECK(config->credential.user == "user");
  CHECK(config->credential.password == "pa:ss");
  CHECK(config->work_dir == "/r/cache");
  CHECK(config->prefetch);
  CHECK(config->id == "/8");
}

TEST_CASE("image config: as the singleton daemon gets it") {
  auto config = parse(R"({
    "type": "bootstrap", "id": "abc", "domain_id": "dom",
    "config": {"id": "abc", "backend_type": "registry",
      "backend_config": {"host": "h", "repo": "r", "registry_token": "t0"},
      "cache_type": "fscache", "cache_config": {"work_dir": "/w"}, "metadata_path": "/m/image.boot",
      "prefetch_config": {"enable": true, "prefetch_all": false}}})");
  REQUIRE(config);
  CHECK(config->id == "abc");
  CHECK(config->domain == "dom");
  CHECK(config->metadata_path == "/m/image.boot");
  CHECK(config->credential.registry_token == "t0");
  CHECK_FALSE(config->prefetch);
}

TEST_CASE("image config: version 2, alone and inside") {
  std::string second = R"({"version": 2, "id": "f", "backend": {"type": "http-proxy",
    "http-proxy": {"addr": "http://127.0.0.1:9", "path": "b"}},
    "cache": {"type": "filecache", "filecache": {"work_dir": "/w"}, "prefetch": {"enable": true, "prefetch_all": true}},
    "metadata_path": "/m"})";
  for (const std::string& text : {second, R"({"id": "f", "config_v2": )" + second + "}"}) {
    auto config = parse(text);
    REQUIRE(config);
    CHECK(config->id == "f");
    CHECK(config->where == "http://127.0.0.1:9/b");
    CHECK(config->metadata_path == "/m");
    CHECK(config->prefetch);
  }
}

TEST_CASE("image config: folders lose the slash at their end") {
  auto config = parse(with_cache(kLocalfs, kCache));
  REQUIRE(config);
  CHECK(config->where == "/blobs");
  CHECK(config->work_dir == "/cache");
}

TEST_CASE("image config: what cannot be honoured is refused with the key and the reason") {
  auto says = [](const std::string& text, const char* what) {
    CAPTURE(text);
    CHECK(refusal(text).find(what) != std::string::npos);
  };
  says("", "configuration");
  says("[]", "configuration");
  says("{}", "neither 'device' nor 'config'");
  says(with_cache(kLocalfs, R"({"type": "dummycache"})"), "say blobcache");
  says(with_cache(kLocalfs, "{}"), "say blobcache");
  says(with_cache(kLocalfs, R"({"type": "blobcache", "config": {}})"), "work_dir: is missing");
  says(with_cache(kLocalfs, R"({"type": "blobcache", "config": {"work_dir": "w"}})"), "no absolute path");
  says(with_cache(R"({"type": "localfs", "config": {"blob_file": "/b"}})", kCache),
       "blob_file: not supported");
  says(with_cache(R"({"type": "nosuch", "config": {}})", kCache), "'nosuch' is not supported");
  says(with_cache(R"({"type": "registry", "config": {"repo": "r"}})", kCache), "host: is missing");
  says(with_cache(R"({"type": "registry", "config": {"host": "h", "repo": "r", "scheme": "ftp"}})", kCache),
       "scheme: is neither");
  says(with_cache(R"({"type": "registry", "config": {"host": "h", "repo": "r", "auth": "!"}})", kCache),
       "auth");
  says(with_cache(R"({"type": "registry", "config": {"host": 7, "repo": "r"}})", kCache), "host");
}
