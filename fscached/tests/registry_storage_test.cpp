#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/repository_client.h"
#include "fscached/tests/fake_origin.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;
using namespace registry;

namespace {

const std::string kBlob(64, 'b');
const std::string kContent(100'000, 'c');
const std::string kPath = "/v2/team/image/blobs/sha256:" + kBlob;

std::string where(const FakeOrigin& origin) {
  return "docker://127.0.0.1:" + std::to_string(origin.port()) + "/team/image";
}

// A registry that wants a token; `valid` says which number of token is good now.
struct TokenRegistry {
  std::atomic<int> valid = 1;
  std::atomic<int> given = 0;
  std::string token_body;  // instead of a token
  std::string expires = "300";
  FakeOrigin origin{[this](const FakeRequest& request) { return answer(request); }};

  std::string challenge() const {
    return "WWW-Authenticate: Bearer realm=\"" + origin.url("/token") +
           "\",service=\"the registry\",scope=\"repository:team/image:pull\"\r\n";
  }
  FakeReply answer(const FakeRequest& request) {
    if (request.target.starts_with("/token")) {
      if (!token_body.empty()) return {http_reply(200, "", token_body)};
      given = valid.load();
      return {http_reply(
          200, "", "{\"token\":\"canary" + std::to_string(given) + "\",\"expires_in\":" + expires + "}")};
    }
    if (request.header("authorization") != "Bearer canary" + std::to_string(valid))
      return {http_reply(401, challenge(), "{}")};
    return honest_reply(request, kContent);
  }
  size_t tokens_asked() const {
    size_t count = 0;
    for (const FakeRequest& request : origin.requests()) count += request.target.starts_with("/token");
    return count;
  }
};

bool mentions(const std::vector<FakeRequest>& requests, const std::string& text) {
  for (const FakeRequest& request : requests)
    if (request.raw.find(text) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("registry: without authorization") {
  FakeOrigin origin([](const FakeRequest& request) { return honest_reply(request, kContent); });
  StorageClient client(where(origin), quick_options());
  CHECK((*client.read(kBlob, 10, 1000) == kContent.substr(10, 1000)));
  CHECK(origin.requests()[0].target == kPath);
  CHECK(origin.requests()[0].header("authorization").empty());
  CHECK(origin.requests()[0].header("accept-encoding") == "identity");
  CHECK(client.storage->describe() == origin.url("/v2/team/image/"));
}

TEST_CASE("registry: an anonymous token is asked once and used again") {
  TokenRegistry registry;
  StorageClient client(where(registry.origin), quick_options());
  for (int i = 0; i < 5; i++) REQUIRE(client.read(kBlob, 0, 100));
  auto requests = registry.origin.requests();
  REQUIRE(requests.size() == 7);  // 401, token, and five answers
  CHECK(requests[1].target == "/token?service=the+registry&scope=repository%3ateam%2fimage%3apull");
  CHECK(requests[1].header("authorization").empty());
  CHECK(requests[2].header("authorization") == "Bearer canary1");
  CHECK(client.counters.requests == 7);
}

TEST_CASE("registry: many readers wait for one token") {
  TokenRegistry registry;
  StorageClient client(where(registry.origin), quick_options());
  for (const std::string& piece : client.read_many(kBlob, 50, 100)) CHECK(piece.size() == 100);
  CHECK(registry.tokens_asked() == 1);
}

TEST_CASE("registry: a token that runs out under way is renewed") {
  TokenRegistry registry;
  StorageClient client(where(registry.origin), quick_options());
  REQUIRE(client.read(kBlob, 0, 100));
  registry.valid = 2;
  REQUIRE(client.read(kBlob, 0, 100));
  CHECK(registry.tokens_asked() == 2);
}

TEST_CASE("registry: 401 for ever, and tokens that are none, end as auth errors") {
  FakeOrigin stubborn([&](const FakeRequest& request) {
    if (request.target.starts_with("/token")) return FakeReply{http_reply(200, "", "{\"token\":\"x\"}")};
    std::string realm = "http://" + request.header("host") + "/token";
    return FakeReply{http_reply(401, "WWW-Authenticate: Bearer realm=\"" + realm + "\"\r\n", "")};
  });
  StorageClient client(where(stubborn), quick_options());
  CHECK(client.read(kBlob, 0, 100).error().code == Code::auth);
  CHECK(stubborn.requests().size() == 1 + 2 * kMaxTokensPerRead);

  for (const char* body : {"", "{}", "{\"token\":\"a\\r\\nX: y\"}", "[", "{\"token\":7}"}) {
    TokenRegistry registry;
    registry.token_body = *body != '\0' ? body : " ";
    StorageClient other(where(registry.origin), quick_options());
    CHECK(other.read(kBlob, 0, 100).error().code == Code::auth);
    CHECK(registry.origin.requests().size() == 2);
  }
}

TEST_CASE("registry: challenges we cannot answer are auth errors") {
  for (const char* challenge :
       {"", "WWW-Authenticate: Basic realm=\"x\"\r\n", "WWW-Authenticate: Bearer realm=\"x\r\n",
        "WWW-Authenticate: Bearer realm=\"file:///etc/passwd\"\r\n", "WWW-Authenticate: Bearer\r\n",
        "WWW-Authenticate: Bearer realm=\"http://169.254.169.254/latest\"\r\n"}) {
    INFO(std::string(challenge));
    FakeOrigin origin([&](const FakeRequest&) { return FakeReply{http_reply(401, challenge, "")}; });
    StorageClient client(where(origin), quick_options());
    CHECK_FALSE(client.read(kBlob, 0, 100));
    CHECK(origin.requests().size() == 1);
  }
}

TEST_CASE("registry: a token service that fails for a while") {
  std::atomic<int> failures = 2;
  FakeOrigin origin([&](const FakeRequest& request) {
    if (request.target.starts_with("/token")) {
      if (failures-- > 0) return FakeReply{http_reply(503, "", "")};
      return FakeReply{http_reply(200, "", "{\"access_token\":\"good\"}")};
    }
    if (request.header("authorization") == "Bearer good") return honest_reply(request, kContent);
    std::string realm = "http://" + request.header("host") + "/token";
    return FakeReply{http_reply(401, "WWW-Authenticate: Bearer realm=\"" + realm + "\"\r\n", "")};
  });
  StorageClient client(where(origin), quick_options());
  auto got = client.read(kBlob, 0, 100);
  // One read asks for kMaxTokensPerRead tokens at most; the next read tries again.
  if (!got) got = client.read(kBlob, 0, 100);
  CHECK(got);
}

TEST_CASE("registry: redirects to an object store carry no token, and the store is remembered") {
  FakeOrigin store([](const FakeRequest& request) { return honest_reply(request, kContent); });
  TokenRegistry* self = nullptr;
  TokenRegistry registry;
  self = &registry;
  FakeOrigin front([&](const FakeRequest& request) {
    FakeReply reply = self->answer(request);
    if (reply.bytes.starts_with("HTTP/1.1 206"))
      return FakeReply{
          http_reply(307, "Location: " + store.url("/bucket/x?signature=abc") + "\r\n", "moved")};
    return reply;
  });
  StorageClient client(where(front), quick_options());
  for (int i = 0; i < 3; i++) CHECK((*client.read(kBlob, 5, 100) == kContent.substr(5, 100)));
  CHECK(store.requests().size() == 3);
  CHECK(store.requests()[0].header("range") == "bytes=5-104");
  CHECK_FALSE(mentions(store.requests(), "canary"));
  CHECK_FALSE(mentions(store.requests(), "uthorization"));
  CHECK(front.requests().size() == 2);  // 401 and 307; the second and third read go to the store at once
}

TEST_CASE("registry: a remembered target that has run out is asked for again") {
  std::atomic<int> good = 0;
  FakeOrigin store([&](const FakeRequest& request) {
    if (request.target != "/" + std::to_string(good)) return FakeReply{http_reply(403, "", "expired")};
    return honest_reply(request, kContent);
  });
  FakeOrigin front([&](const FakeRequest&) {
    return FakeReply{http_reply(302, "Location: " + store.url("/" + std::to_string(good)) + "\r\n", "")};
  });
  StorageClient client(where(front), quick_options());
  REQUIRE(client.read(kBlob, 0, 100));
  good = 1;
  REQUIRE(client.read(kBlob, 0, 100));
  CHECK(front.requests().size() == 2);
  CHECK(store.requests().size() == 3);
}

TEST_CASE("registry: a remembered store that lies is not asked again by the same read; another one is") {
  std::atomic<bool> lies = false;
  FakeOrigin store([&](const FakeRequest& request) {
    return lies ? FakeReply{http_reply(200, "", kContent)} : honest_reply(request, kContent);
  });
  FakeOrigin mirror([&](const FakeRequest& request) { return honest_reply(request, kContent); });
  std::atomic<bool> moved = false;
  FakeOrigin front([&](const FakeRequest&) {
    const FakeOrigin& target = moved ? mirror : store;
    return FakeReply{http_reply(302, "Location: " + target.url("/x") + "\r\n", "")};
  });
  StorageClient client(where(front), quick_options());
  REQUIRE(client.read(kBlob, 0, 100));
  lies = true;
  auto got = client.read(kBlob, 7, 100);
  REQUIRE_FALSE(got);
  CHECK(got.error().code == Code::corrupt);
  CHECK(store.requests().size() == 2);
  CHECK(front.requests().size() == 2);
  lies = false;
  REQUIRE(client.read(kBlob, 7, 100));  // the next read tries again
  lies = moved = true;
  CHECK((*client.read(kBlob, 7, 100) == kContent.substr(7, 100)));
  CHECK(mirror.requests().size() == 1);
}

TEST_CASE("registry: a store that answers 401 gets nothing") {
  FakeOrigin store([&](const FakeRequest& request) {
    std::string realm = "http://" + request.header("host") + "/steal";
    return FakeReply{http_reply(401, "WWW-Authenticate: Bearer realm=\"" + realm + "\"\r\n", "")};
  });
  TokenRegistry registry;
  FakeOrigin front([&](const FakeRequest& request) {
    FakeReply reply = registry.answer(request);
    if (reply.bytes.starts_with("HTTP/1.1 206"))
      return FakeReply{http_reply(302, "Location: " + store.url("/x") + "\r\n", "")};
    return reply;
  });
  StorageClient client(where(front), quick_options());
  CHECK(client.read(kBlob, 0, 100).error().code == Code::auth);
  CHECK(store.requests().size() == 1);
  CHECK_FALSE(mentions(store.requests(), "canary"));
}

TEST_CASE("redirects: loops end, chains within the limit arrive") {
  FakeOrigin origin([](const FakeRequest& request) {
    if (request.target.starts_with("/loop"))
      return FakeReply{http_reply(301, "Location: " + request.target + "\r\n", "")};
    size_t hop = request.target.starts_with("/chain") ? 0 : std::stoul(request.target.substr(4));
    size_t limit = request.target.find("long") != std::string::npos ? kMaxRedirects + 1 : kMaxRedirects;
    if (hop == limit) return honest_reply(request, kContent);
    std::string name = request.target.find("long") != std::string::npos ? "?long" : "";
    return FakeReply{http_reply(303, "Location: /hop" + std::to_string(hop + 1) + name + "\r\n", "")};
  });
  auto read = [&](const char* path, size_t* requests) {
    size_t before = origin.requests().size();
    StorageClient client(origin.url(path), quick_options());
    auto got = client.read(kBlob, 0, 10);
    *requests = origin.requests().size() - before;
    return got;
  };
  size_t requests = 0;
  CHECK_FALSE(read("/loop", &requests));
  CHECK(requests == kMaxRedirects + 1);
  CHECK(read("/chain", &requests));
  CHECK(requests == kMaxRedirects + 1);
  CHECK_FALSE(read("/chain?long", &requests));
}

TEST_CASE("redirects: to other schemes and nearer addresses nothing is sent") {
  for (const char* location :
       {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "dict://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[::ffff:a9fe:a9fe]/",
        "http://user:pw@127.0.0.1/", "http://", "", "/a b"}) {
    INFO(std::string(location));
    FakeOrigin origin([&](const FakeRequest&) {
      return FakeReply{http_reply(302, std::string("Location: ") + location + "\r\n", "")};
    });
    StorageClient client(origin.url("/"), quick_options());
    auto got = client.read(kBlob, 0, 10);
    REQUIRE_FALSE(got);
    CHECK(got.error().message.find("refused") != std::string::npos);
    CHECK(origin.requests().size() == 1);
  }
}

TEST_CASE("registry: manifests, by tag and by digest") {
  std::string type = "application/vnd.oci.image.manifest.v1+json";
  FakeOrigin origin([&](const FakeRequest& request) {
    if (request.target.ends_with("/absent")) return FakeReply{http_reply(404, "", "{}")};
    if (request.target.ends_with("/huge"))
      return FakeReply{http_reply(200, "", std::string(kMaxDocumentBytes + 1, ' '))};
    if (request.target.ends_with("/moved")) return FakeReply{http_reply(307, "Location: latest\r\n", "")};
    return FakeReply{http_reply(200, "Content-Type: " + type + "; charset=utf-8\r\n", "{\"a\":1}")};
  });
  auto thread = std::move(*CurlThread::create());
  RepositoryClient client(*thread, *parse_repository(where(origin), PlainHttp::loopback_only), {},
                          quick_options());
  auto read = [&](const std::string& reference) { return client.document(reference); };
  for (const std::string& reference : {std::string("latest"), "sha256:" + kBlob, std::string("moved")}) {
    auto document = read(reference);
    REQUIRE(document);
    CHECK(document->text == "{\"a\":1}");
    CHECK(document->media_type == type);
  }
  CHECK(origin.requests()[0].target == "/v2/team/image/manifests/latest");
  CHECK(origin.requests()[0].header("accept").find("application/vnd.oci.image.index.v1+json") !=
        std::string::npos);
  CHECK(origin.requests()[0].header("range").empty());
  CHECK(read("absent").error().code == Code::not_found);
  CHECK(read("huge").error().code == Code::too_large);
  CHECK(read("../../x").error().code == Code::invalid_argument);
}

TEST_CASE("open_storage: places") {
  auto loop = std::move(*Loop::create(8));
  StorageCounters counters;
  auto describe = [&](const std::string& place, StorageOptions options = {}) {
    auto storage = open_storage(*loop, place, counters, options);
    return storage ? (*storage)->describe() : "refused";
  };
  CHECK(describe("/var/blobs") == "/var/blobs/");
  CHECK(describe("https://host/dir/") == "https://host/dir/");
  CHECK(describe("docker://r.example/a/b") == "https://r.example/v2/a/b/");
  StorageOptions plain;
  plain.plain_http = true;
  CHECK(describe("docker://r.example/a/b", plain) == "http://r.example/v2/a/b/");
  for (const char* place :
       {"", "ftp://host/", "file:///x", "http://", "http://u:p@host/", "docker://host", "s3://b/"}) {
    INFO(std::string(place));
    CHECK(describe(place) == "refused");
  }
}
