// Where a request may lead, judged on the address that is really connected to.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "erofs-format/registry/exchange.h"
#include "fscached/storage/curl_loop.h"
#include "fscached/tests/fake_origin.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;
using registry::Exchange;

namespace {

struct Wire {
  std::unique_ptr<Loop> loop = std::move(*Loop::create(8));
  std::unique_ptr<CurlLoop> curl = std::move(*CurlLoop::create(*loop));
  StorageOptions options = quick_options();

  std::unique_ptr<Exchange> get(const std::string& url, std::optional<registry::Reach> sent_from) {
    registry::HttpRequest request;
    request.url = *registry::parse_url(url);
    request.sent_from = sent_from;
    request.timeout_ms = 5000;
    auto exchange = std::make_unique<Exchange>(*curl, std::move(request), MutableBytes(), 100);
    REQUIRE(exchange->start(options, [this] { loop->stop(); }));
    REQUIRE(loop->run());
    return exchange;
  }
};

}  // namespace

TEST_CASE("exchange: a name that resolves to loopback is refused before a byte is sent") {
  FakeOrigin origin([](const FakeRequest&) { return FakeReply{http_reply(200, "", "secret")}; });
  std::string by_name = "http://localhost:" + std::to_string(origin.port()) + "/";
  Wire wire;
  for (const std::string& url : {by_name, origin.url("/")}) {
    auto refused = wire.get(url, registry::Reach::network);
    REQUIRE(refused->failure());
    CHECK(refused->failure()->error.message.find("refused") != std::string::npos);
    CHECK_FALSE(refused->failure()->retryable);
  }
  CHECK(wire.get(origin.url("/"), registry::Reach::link_local)->failure());
  CHECK(origin.connections() == 0);
  CHECK(wire.get(origin.url("/"), registry::Reach::loopback)->text() == "secret");
}

TEST_CASE("exchange: also over a connection that an allowed request has opened") {
  FakeOrigin origin([](const FakeRequest&) { return FakeReply{http_reply(200, "", "secret")}; });
  Wire wire;
  CHECK(wire.get(origin.url("/"), std::nullopt)->text() == "secret");
  CHECK(wire.get(origin.url("/"), std::nullopt)->reach() == registry::Reach::loopback);
  CHECK(origin.connections() == 1);
  CHECK(wire.get(origin.url("/"), registry::Reach::network)->failure());
  CHECK(origin.requests().size() == 2);
}

TEST_CASE("exchange: no proxy from the environment, no .netrc") {
  FakeOrigin proxy([](const FakeRequest&) { return FakeReply{http_reply(200, "", "proxied")}; });
  FakeOrigin origin([](const FakeRequest&) { return FakeReply{http_reply(200, "", "direct")}; });
  setenv("http_proxy", proxy.url("").c_str(), 1);
  setenv("all_proxy", proxy.url("").c_str(), 1);
  Wire wire;
  CHECK(wire.get(origin.url("/"), std::nullopt)->text() == "direct");
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  CHECK(proxy.connections() == 0);
}

TEST_CASE("exchange: a text longer than its limit is refused") {
  FakeOrigin origin([](const FakeRequest& request) {
    return FakeReply{http_reply(200, "", std::string(request.target == "/long" ? 101 : 100, 'x'))};
  });
  Wire wire;
  CHECK(wire.get(origin.url("/short"), std::nullopt)->text().size() == 100);
  CHECK(wire.get(origin.url("/long"), std::nullopt)->failure()->error.code == Code::too_large);
}
