#include "fscached/personality/nydusd_options.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace fscached;

namespace {

using Words = std::vector<std::string>;

std::string refusal(const Words& words) {
  auto options = parse_nydusd(words);
  return options ? "" : options.error().message;
}

}  // namespace

// As nydus-snapshotter builds them.
TEST_CASE("nydusd: the snapshotter's command lines") {
  auto shared =
      parse_nydusd({"fuse", "--thread-num", "4", "--id", "d1", "--mountpoint", "/r/mnt", "--apisock",
                    "/r/api.sock", "--log-level", "trace", "--log-rotation-size", "100", "--supervisor",
                    "/r/s.sock", "--log-file", "/r/nydusd.log", "--failover-policy", "resend"});
  REQUIRE(shared);
  CHECK(shared->mode == NydusdOptions::Mode::shared);
  CHECK(shared->mountpoint == "/r/mnt");
  CHECK(shared->supervisor == "/r/s.sock");
  CHECK(shared->log_level == "debug");
  auto dedicated = parse_nydusd({"fuse", "--config", "/c.json", "--bootstrap", "/image.boot", "--mountpoint",
                                 "/m", "--apisock", "/a", "--log-level", "info", "--prefetch-files", "/f"});
  REQUIRE(dedicated);
  CHECK(dedicated->mode == NydusdOptions::Mode::dedicated);
  auto singleton = parse_nydusd({"singleton", "--fscache", "/cache", "--fscache-threads", "4", "--upgrade",
                                 "--apisock", "/a", "--log-level", "warn"});
  REQUIRE(singleton);
  CHECK(singleton->mode == NydusdOptions::Mode::singleton);
  CHECK(singleton->upgrade);
}

TEST_CASE("nydusd: without a mode it is fuse, and the mode may stand behind what both have") {
  CHECK(parse_nydusd({"-M", "/m", "-A", "/a"})->mode == NydusdOptions::Mode::shared);
  CHECK(parse_nydusd({"--apisock", "/a", "singleton", "-F", "/c"})->mode == NydusdOptions::Mode::singleton);
  CHECK(parse_nydusd({"-M", "/m", "-B", "/b", "-D", "/blobs", "-m", "/pseudo"})->mountpoint == "/m/pseudo");
}

TEST_CASE("nydusd: what is not offered or makes no sense is refused by name") {
  CHECK(refusal({"virtiofs", "--sock", "/x"}).find("--sock") != std::string::npos);
  CHECK(refusal({"virtiofs"}).find("virtiofs: not offered") != std::string::npos);
  CHECK(refusal({"fuse"}).find("--mountpoint") != std::string::npos);
  CHECK(refusal({"fuse", "-M", "/m", "--fscache", "/c"}).find("--fscache") != std::string::npos);
  CHECK(refusal({"singleton", "-A", "/a", "-F", "/c", "-M", "/m"}).find("--mountpoint") != std::string::npos);
  CHECK(refusal({"-M", "/m", "--writable"}).find("read only") != std::string::npos);
  CHECK(refusal({"-M", "/m", "-B", "/b"}).find("where are the blobs") != std::string::npos);
  CHECK(refusal({"-M", "/m", "--supervisor", "/s"}).find("--id") != std::string::npos);
  CHECK(refusal({"-M", "/m", "-l", "loud"}).find("loud") != std::string::npos);
  CHECK(refusal({"-M", "/m", "fuse", "more"}).find("more") != std::string::npos);
}

TEST_CASE("nydusd: options as words and back") {
  for (const Words& words : {Words{"-M", "/m", "-A", "/a", "--id", "x", "--supervisor", "/s", "--upgrade"},
                             Words{"-M", "/m", "-B", "/b", "-C", "/c", "-D", "/d", "-L", "/l", "-l", "warn"},
                             Words{"singleton", "-F", "/c", "-A", "/a"}}) {
    auto once = parse_nydusd(words);
    REQUIRE(once);
    auto twice = parse_nydusd(words_of(*once));
    REQUIRE(twice);
    CHECK(words_of(*twice) == words_of(*once));
    CHECK(twice->mode == once->mode);
  }
}

TEST_CASE("nydusd: the version has five lines, and a commit") {
  std::string text = nydusd_version();
  CHECK(std::count(text.begin(), text.end(), '\n') == 5);
  CHECK(text.find("Git Commit: \t" + build_id() + "\n") != std::string::npos);
  CHECK(build_id().size() == 40);
}
