// The daemon's credentials: whom they are shown to, and whom not. The canaries stand for user, password and
// token.
#include <doctest/doctest.h>

#include <fstream>

#include "erofs-format/base/base64.h"
#include "erofs-format/registry/credential_files.h"
#include "fscached/tests/fake_origin.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;

namespace {

const std::string kBlob(64, 'a');
const std::string kContent(100'000, 'c');
const std::string kUser = "canary-user", kPassword = "canary-password", kToken = "canary-token";
const std::string kBasic = "Basic " + base64_encoded(kUser + ":" + kPassword);

std::string host_of(const FakeOrigin& origin) { return "127.0.0.1:" + std::to_string(origin.port()); }

std::string everything(const FakeOrigin& origin) {
  std::string all;
  for (const FakeRequest& request : origin.requests()) all += request.raw;
  return all;
}

// No word of ours, plain or as it is sent.
void check_clean(const std::string& text) {
  for (const std::string& word : {kUser, kPassword, kToken, kBasic.substr(6)})
    CHECK_MESSAGE(text.find(word) == std::string::npos, word);
}

struct Login {
  explicit Login(const std::string& host) {
    path = scratch.path() + "/auth.json";
    std::ofstream(path) << "{\"auths\": {\"" << host << "\": {\"auth\": \"" << kBasic.substr(6) << "\"}}}";
  }
  Result<std::string> read(const FakeOrigin& origin) const {
    StorageOptions options = quick_options();
    options.credential = [this](const std::string& host, const std::string& repository) {
      return registry::read_credential(path, host, repository);
    };
    StorageClient client("docker://" + host_of(origin) + "/a/b", options);
    return client.read(kBlob, 1000, 5000);
  }
  Scratch scratch;
  std::string path;
};

FakeReply unauthorized(const std::string& challenge) {
  return {http_reply(401, "WWW-Authenticate: " + challenge + "\r\n", "")};
}

// A registry with user name and password, whose blobs are at `elsewhere`.
FakeOrigin::Script with_password(const FakeOrigin& elsewhere) {
  return [&elsewhere](const FakeRequest& request) {
    if (request.header("authorization") != kBasic) return unauthorized("Basic realm=\"x\"");
    return FakeReply{http_reply(307, "Location: " + elsewhere.url("/store") + "\r\n", "")};
  };
}

}  // namespace

TEST_CASE("credentials: a password reaches its registry, and not where that sends us") {
  FakeOrigin store([](const FakeRequest& request) { return honest_reply(request, kContent); });
  FakeOrigin registry(with_password(store));
  auto bytes = Login(host_of(registry)).read(registry);
  REQUIRE_MESSAGE(bytes, bytes.error().message);
  CHECK(*bytes == kContent.substr(1000, 5000));
  CHECK(registry.requests().size() == 2);
  check_clean(everything(store));
}

TEST_CASE("credentials: a store that asks for them itself gets none") {
  FakeOrigin store([](const FakeRequest&) { return unauthorized("Basic realm=\"give\""); });
  FakeOrigin registry(with_password(store));
  auto bytes = Login(host_of(registry)).read(registry);
  REQUIRE_FALSE(bytes);
  CHECK(bytes.error().code == Code::auth);
  check_clean(bytes.error().message);
  check_clean(everything(store));
}

TEST_CASE("credentials: the password goes to the token service, the token to the registry") {
  FakeOrigin service([](const FakeRequest& request) {
    if (request.header("authorization") != kBasic) return FakeReply{http_reply(401, "", "")};
    return FakeReply{http_reply(200, "", "{\"token\": \"" + kToken + "\"}")};
  });
  FakeOrigin store([](const FakeRequest& request) { return honest_reply(request, kContent); });
  FakeOrigin registry([&](const FakeRequest& request) {
    if (request.header("authorization") != "Bearer " + kToken)
      return unauthorized("Bearer realm=\"" + service.url("/token") +
                          "\",service=\"s\",scope=\"repository:a/b:pull\"");
    return FakeReply{http_reply(307, "Location: " + store.url("/store") + "\r\n", "")};
  });
  auto bytes = Login(host_of(registry)).read(registry);
  REQUIRE_MESSAGE(bytes, bytes.error().message);
  CHECK(service.requests().size() == 1);
  CHECK(service.requests()[0].target == "/token?service=s&scope=repository%3aa%2fb%3apull&account=" + kUser);
  check_clean(everything(store));
  CHECK(everything(registry).find(kPassword) == std::string::npos);
  CHECK(everything(registry).find(kBasic) == std::string::npos);
}

TEST_CASE("credentials: another registry, also one of a similar name, gets none") {
  FakeOrigin other([](const FakeRequest&) { return unauthorized("Basic realm=\"give\""); });
  for (const std::string& host : {host_of(other) + "1", std::string("127.0.0.1"), "x" + host_of(other)}) {
    auto bytes = Login(host).read(other);
    REQUIRE_FALSE(bytes);
    CHECK(bytes.error().code == Code::auth);
  }
  check_clean(everything(other));
}

TEST_CASE("credentials: refused ones end the read at once, without a word of them") {
  FakeOrigin registry([](const FakeRequest&) { return unauthorized("Basic realm=\"x\""); });
  auto bytes = Login(host_of(registry)).read(registry);
  REQUIRE_FALSE(bytes);
  CHECK(bytes.error().code == Code::auth);
  CHECK(registry.requests().size() == 2);
  check_clean(bytes.error().message);
}
