#include "fscached/control/config.h"

#include <doctest/doctest.h>

#include "erofs-format/base/os.h"
#include "fscached/tests/scratch.h"

using namespace fscached;

namespace {

Result<Config> read(const std::string& text) {
  Scratch scratch;
  std::string path = scratch.path() + "/config.toml";
  REQUIRE(os::publish_file(path, as_bytes(text)));
  Config config;
  TRY(read_config_file(config, path));
  return config;
}

std::string message(const std::string& text) {
  auto config = read(text);
  return config ? "" : config.error().message;
}

}  // namespace

TEST_CASE("config: a file sets what it names") {
  auto config =
      read("root = '/x'\n[fetch]\nmemory = '128M'\nplain_http = true\n[complete]\nbandwidth = 4096\n");
  REQUIRE(config);
  CHECK(config->root == "/x");
  CHECK(config->socket == kDefaultSocket);
  CHECK(config->fetch_memory == 128 << 20);
  CHECK(config->plain_http);
  CHECK(config->complete_bandwidth == 4096);
}

TEST_CASE("config: what is unknown or wrong is named with its line") {
  CHECK(message("\nroots = '/x'\n").find("line 2: unknown setting 'roots'") != std::string::npos);
  CHECK(message("[fetch]\nmemory = '1'\n").find("line 2: fetch.memory: 1 is not in") != std::string::npos);
  CHECK(message("[fetch]\nmemory = '12X'\n").find("fetch.memory") != std::string::npos);
  CHECK(message("[fetch]\nplain_http = 'maybe'\n").find("is not one of true, false") != std::string::npos);
  CHECK(message("root = 'relative'\n").find("is not an absolute path") != std::string::npos);
  CHECK(message("root = [1]\n").find("is neither text, number nor truth value") != std::string::npos);
  CHECK(message("root = \n").find("line 1") != std::string::npos);
}

TEST_CASE("config: durations") {
  auto timeout = [](const std::string& value) {
    auto config = read("[fetch]\nrequest_timeout = " + value + "\n");
    return config ? config->request_timeout_ms : 0;
  };
  CHECK(Config().request_timeout_ms == 60'000);
  CHECK(timeout("5") == 5'000);
  CHECK(timeout("'5s'") == 5'000);
  CHECK(timeout("'250ms'") == 250);
  CHECK(timeout("3600") == 3'600'000);
  for (const char* wrong : {"0", "'0ms'", "3601", "-1", "''", "'s'", "'ms'", "'5m'", "'5 s'", "'1.5s'"}) {
    INFO(std::string(wrong));
    CHECK(timeout(wrong) == 0);
  }
}

TEST_CASE("config: words carry every setting to the worker") {
  auto config = read(
      "root = '/a=b'\nlog_level = 'debug'\n[complete]\nenabled = true\nafter_s = 0\n[fetch]\nrequest_timeout "
      "= '70ms'\n");
  REQUIRE(config);
  Config copy;
  REQUIRE(read_config_words(copy, config_words(*config)));
  CHECK(config_words(copy) == config_words(*config));
  CHECK(copy.root == "/a=b");
  CHECK(copy.complete);
  CHECK(copy.complete_after_s == 0);
  CHECK(copy.request_timeout_ms == 70);
}
