#include "fscached/storage/mirrored_storage.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "fscached/tests/fake_origin.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;

namespace {

const std::string kBlob(64, 'b');
const std::string kContent(100'000, 'c');

// A server that works, until it is told not to.
struct Server {
  std::atomic<int> status = 200;
  FakeOrigin origin{[this](const FakeRequest& request) {
    if (status == 0) return FakeReply{"", FakeReply::End::reset};
    return status == 200 ? honest_reply(request, kContent) : FakeReply{http_reply(status, "", "")};
  }};
  size_t asked() const { return origin.requests().size(); }
  std::string host() const { return fmt::format("127.0.0.1:{}", origin.port()); }
};

struct Mirrored {
  Scratch scratch;
  Server first, second, registry;
  StorageOptions options = quick_options();

  Mirrored() {
    options.hosts_folder = scratch.path();
    std::filesystem::create_directory(scratch.path() + "/" + registry.host());
    std::ofstream(scratch.path() + "/" + registry.host() + "/hosts.toml") << fmt::format(
        "[host.\"http://{}\"]\nheader = {{X-Upstream = \"http://{}\"}}\n[host.\"http://{}\"]\n", first.host(),
        registry.host(), second.host());
  }
  StorageClient open() { return {"docker://" + registry.host() + "/team/app", options}; }
};

void expect_read(StorageClient& client) {
  auto read = client.read(kBlob, 10, 1000);
  REQUIRE_MESSAGE(read, read.error().message);
  CHECK((*read == kContent.substr(10, 1000)));
}

}  // namespace

TEST_CASE("mirrors: the first that works is asked, with its headers and the registry's name") {
  Mirrored mirrored;
  StorageClient client = mirrored.open();
  expect_read(client);
  CHECK(*client.size(kBlob) == kContent.size());
  CHECK(mirrored.second.asked() + mirrored.registry.asked() == 0);
  auto requests = mirrored.first.origin.requests();
  REQUIRE(requests.size() == 2);
  for (const FakeRequest& request : requests) {
    std::string ns = fmt::format("?ns=127.0.0.1%3a{}", mirrored.registry.origin.port());
    CHECK(request.target == "/v2/team/app/blobs/sha256:" + kBlob + ns);
    CHECK(request.header("x-upstream") == "http://" + mirrored.registry.host());
  }
}

TEST_CASE("mirrors: one that dies is left alone, and the next answers the same read") {
  for (int death : {0, 401, 429, 500, 503}) {
    INFO(death);
    Mirrored mirrored;
    StorageClient client = mirrored.open();
    expect_read(client);
    mirrored.first.status = death;
    for (int i = 0; i < 3; i++) expect_read(client);
    // libcurl itself asks anew when a connection that was kept turns out to be dead.
    const size_t anew = death == 0 ? 1 : 0;
    CHECK(mirrored.first.asked() == 2 + anew);
    CHECK(mirrored.second.asked() == 3);
    mirrored.second.status = death;
    for (int i = 0; i < 3; i++) expect_read(client);
    CHECK(mirrored.first.asked() == 2 + anew);
    CHECK(mirrored.second.asked() == 4 + anew);
    REQUIRE(mirrored.registry.asked() == 3);
    CHECK(mirrored.registry.origin.requests()[0].target.ends_with(kBlob));
    CHECK(mirrored.registry.origin.requests()[0].header("x-upstream").empty());
  }
}

TEST_CASE("mirrors: without the blob one is asked the next time all the same") {
  Mirrored mirrored;
  StorageClient client = mirrored.open();
  mirrored.first.status = 404;
  for (int i = 0; i < 3; i++) expect_read(client);
  CHECK(*client.size(kBlob) == kContent.size());
  CHECK(mirrored.first.asked() == 4);
  CHECK(mirrored.second.asked() == 4);
}

TEST_CASE("mirrors: when all fail the registry's own error is the read's, and it is asked again") {
  Mirrored mirrored;
  StorageClient client = mirrored.open();
  mirrored.first.status = mirrored.second.status = mirrored.registry.status = 403;
  for (int i = 0; i < 2; i++) {
    auto read = client.read(kBlob, 0, 100);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Code::auth);
    CHECK(read.error().message.find(mirrored.registry.host()) != std::string::npos);
  }
  mirrored.registry.status = 200;
  expect_read(client);
  CHECK(mirrored.first.asked() == 1);
  CHECK(mirrored.registry.asked() == 3);
}

TEST_CASE("mirrors: many reads under way when one dies all come right") {
  Mirrored mirrored;
  StorageClient client = mirrored.open();
  mirrored.first.status = 0;
  for (const std::string& piece : client.read_many(kBlob, 50, 100)) CHECK(piece.size() == 100);
}

TEST_CASE("mirrors: a cancelled read is not asked for elsewhere") {
  Mirrored mirrored;
  FakeOrigin silent([](const FakeRequest&) { return FakeReply{"", FakeReply::End::stall}; });
  std::ofstream(mirrored.scratch.path() + "/" + mirrored.registry.host() + "/hosts.toml")
      << fmt::format("[host.\"{}\"]\n", silent.url(""));
  StorageClient client = mirrored.open();
  std::vector<uint8_t> into(100);
  std::optional<Result<void>> outcome;
  Storage::FetchId id = client.storage->read(kBlob, 0, into, [&](Result<void> result) {
    outcome = std::move(result);
    client.loop->stop();
  });
  client.loop->after_ms(50, [&](int32_t) { client.storage->cancel(id); });
  REQUIRE(client.loop->run());
  REQUIRE(outcome);
  CHECK(outcome->error().code == Code::cancelled);
  CHECK(mirrored.registry.asked() == 0);
}

TEST_CASE("mirrors: a hosts.toml that asks for less than TLS is an error where a storage is opened") {
  Mirrored mirrored;
  std::ofstream(mirrored.scratch.path() + "/" + mirrored.registry.host() + "/hosts.toml")
      << "skip_verify = true\n";
  StorageCounters counters;
  auto loop = std::move(*Loop::create(8));
  auto opened =
      open_storage(*loop, "docker://" + mirrored.registry.host() + "/a", counters, mirrored.options);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("skip_verify") != std::string::npos);
}
