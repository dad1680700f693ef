// What can go wrong while blobs and a manifest are pushed, at each of the four requests: the image is there
// whole, or the push fails and no manifest is there.
#include <doctest/doctest.h>

#include <mutex>

#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/repository_client.h"
#include "fscached/tests/fake_origin.h"

using namespace fscached;
using namespace registry;

namespace {

using End = FakeReply::End;

const std::string kContent = [] {
  std::string content(60'000, '\0');
  uint32_t state = 99;
  for (char& c : content) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return content;
}();
const Digest kDigest = sha256(as_bytes(kContent));
const std::string kManifest = "{}";
constexpr size_t kAlways = 1000;

enum class At { head, post, put, manifest };

At place_of(const FakeRequest& request) {
  if (request.target.find("/manifests/") != std::string::npos) return At::manifest;
  return request.method == "HEAD" ? At::head : request.method == "POST" ? At::post : At::put;
}

struct Fault {
  const char* name;
  At at;
  FakeReply reply;
  size_t times;               // the first so many requests there
  std::optional<Code> error;  // none: all arrived
  size_t sends;               // requests with the blob
  bool stored = false;        // the server takes what it was sent, and says otherwise
  double share = 1;           // of the body, until it answers
};

// A registry of one repository, right but for its fault.
class FaultyRegistry {
 public:
  explicit FaultyRegistry(Fault fault)
      : fault_(std::move(fault)),
        origin_([this](const FakeRequest& request) { return reply(request); },
                [this](const FakeRequest& request, size_t size) {
                  double share = fails(request) ? fault_.share : 1;
                  return static_cast<size_t>(static_cast<double>(size) * share);
                }) {}

  std::string blob() const { return locked(blob_); }
  std::string manifest() const { return locked(manifest_); }
  size_t sends() const { return sends_; }
  uint16_t port() const { return origin_.port(); }

 private:
  std::string locked(const std::string& text) const {
    std::lock_guard lock(mutex_);
    return text;
  }
  bool fails(const FakeRequest& request) const {
    return place_of(request) == fault_.at && failed_ < fault_.times;
  }

  FakeReply reply(const FakeRequest& request) {
    std::lock_guard lock(mutex_);
    if (place_of(request) == At::put) sends_++;
    if (!fails(request)) return honest(request);
    failed_++;
    if (fault_.stored) honest(request);
    return fault_.reply;
  }

  FakeReply honest(const FakeRequest& request) {
    switch (place_of(request)) {
      case At::head:
        if (blob_.empty()) return {"HTTP/1.1 404 X\r\nContent-Length: 7\r\n\r\n"};
        return {"HTTP/1.1 200 X\r\nContent-Length: " + std::to_string(blob_.size()) + "\r\n\r\n"};
      case At::post: return {http_reply(202, "Location: /v2/a/b/blobs/uploads/1?state=x\r\n", "")};
      case At::put:
        if (request.target.find("&digest=sha256%3a" + to_hex(kDigest)) == std::string::npos)
          return {http_reply(400, "", "")};
        blob_ = request.body;
        return {http_reply(201, "", "")};
      case At::manifest: manifest_ = request.body; return {http_reply(201, "", "")};
    }
    return {};
  }

  Fault fault_;
  mutable std::mutex mutex_;
  std::string blob_, manifest_;
  std::atomic<size_t> failed_ = 0, sends_ = 0;
  FakeOrigin origin_;
};

Result<void> push(uint16_t port, uint64_t timeout_ms) {
  TRY_ASSIGN(std::unique_ptr<CurlThread> thread, CurlThread::create());
  TRY_ASSIGN(Repository repository,
             parse_repository("127.0.0.1:" + std::to_string(port) + "/a/b", PlainHttp::loopback_only));
  HttpOptions options;
  options.backoff_first_ms = 2;
  options.read_timeout_ms = timeout_ms;
  RepositoryClient client(*thread, std::move(repository), {}, options);
  TRY_ASSIGN(bool sent,
             client.push_blob(kDigest, body_of_bytes(as_bytes(kContent), "application/octet-stream")));
  (void)sent;
  return client.push_document("v1", {"application/json", kManifest});
}

FakeReply status(int number, const std::string& headers = "") { return {http_reply(number, headers, "no")}; }

std::vector<Fault> status_faults() {
  std::string relocate = "Location: /v2/a/b/blobs/uploads/2?x=y&digest=sha256%3a" + to_hex(kDigest) + "\r\n";
  return {
      {"none", At::head, {}, 0, {}, 1},
      {"HEAD: 405", At::head, {"HTTP/1.1 405 X\r\nContent-Length: 0\r\n\r\n"}, kAlways, {}, 1},
      {"HEAD: 403", At::head, {"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n"}, kAlways, Code::auth, 0},
      {"HEAD: 503 once", At::head, {"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"}, 1, {}, 1},
      {"POST: 500 once", At::post, status(500), 1, {}, 1},
      {"POST: 500 always", At::post, status(500), kAlways, Code::network, 0},
      {"POST: 429 once", At::post, status(429, "Retry-After: 0\r\n"), 1, {}, 1},
      {"POST: 429 for too long", At::post, status(429, "Retry-After: 9999\r\n"), 1, Code::network, 0},
      {"POST: 404", At::post, status(404), kAlways, Code::not_found, 0},
      {"POST: no Location", At::post, status(202), kAlways, Code::network, 0},
      {"POST: a Location nearer than the registry", At::post,
       status(202, "Location: http://169.254.169.254/\r\n"), kAlways, Code::network, 0},
      {"POST: two Locations", At::post, status(202, "Location: /a\r\nLocation: /b\r\n"), kAlways,
       Code::corrupt, 0},
      {"PUT: 413", At::put, status(413), kAlways, Code::network, 1},
      {"PUT: 400", At::put, status(400), kAlways, Code::network, 1},
      {"PUT: 500 once", At::put, status(500), 1, {}, 2},
      {"PUT: 500 always", At::put, status(500), kAlways, Code::network, kMaxAttempts},
      {"PUT: 413 before the whole body came",
       At::put,
       {http_reply(413, "", "no"), End::close},
       kAlways,
       Code::network,
       1,
       false,
       0.1},
      {"PUT: 500, but it has it", At::put, status(500), 1, {}, 1, true},
      {"PUT: 307", At::put, status(307, relocate), 1, {}, 2},
      {"PUT: 302", At::put, status(302, relocate), 1, Code::network, 1},
      {"manifest: 500 once", At::manifest, status(500), 1, {}, 1},
      {"manifest: 500 always", At::manifest, status(500), kAlways, Code::network, 1},
      {"manifest: 400", At::manifest, status(400), kAlways, Code::network, 1},
      {"manifest: 403", At::manifest, status(403), kAlways, Code::auth, 1},
  };
}

// What a connection that was used before swallows without a word, libcurl itself sends again over a new one.
std::vector<Fault> connection_faults() {
  std::string endless = "HTTP/1.1 201 X\r\n\r\n" + std::string(200'000, 'x');
  return {
      {"HEAD: closed once", At::head, {"", End::close}, 1, {}, 1},
      {"POST: reset once", At::post, {"", End::reset}, 1, {}, 1},
      {"POST: reset always", At::post, {"", End::reset}, kAlways, Code::network, 0},
      {"PUT: reset before the answer, once", At::put, {"", End::reset}, 1, {}, 2},
      {"PUT: reset before the answer, always",
       At::put,
       {"", End::reset},
       kAlways,
       Code::network,
       2 * kMaxAttempts},
      {"PUT: reset in the middle of the blob, once", At::put, {"", End::reset}, 1, {}, 2, false, 0.5},
      {"PUT: closed, but it has it", At::put, {"", End::close}, 1, {}, 2, true},
      {"PUT: half an answer, once", At::put, {"HTTP/1.1 201 X\r\nContent-", End::close}, 1, {}, 2},
      {"PUT: not HTTP", At::put, {"hello\r\n\r\n", End::close}, kAlways, Code::network, 1},
      {"PUT: an answer without end", At::put, {endless, End::close}, kAlways, Code::network, 1},
      {"PUT: no answer", At::put, {"", End::stall}, kAlways, Code::timeout, 1},
      {"manifest: reset once", At::manifest, {"", End::reset}, 1, {}, 1},
      {"manifest: reset always", At::manifest, {"", End::reset}, kAlways, Code::network, 1},
      {"manifest: no answer", At::manifest, {"", End::stall}, kAlways, Code::timeout, 1},
  };
}

void check(const Fault& fault) {
  INFO(fault.name);
  FaultyRegistry registry(fault);
  Result<void> pushed = push(registry.port(), fault.reply.end == End::stall ? 1000 : 20'000);
  std::string message = pushed ? "" : pushed.error().message;
  INFO(message);
  CHECK(registry.sends() == fault.sends);
  if (!fault.error) {
    REQUIRE(pushed);
    CHECK((registry.blob() == kContent));
    CHECK(registry.manifest() == kManifest);
    return;
  }
  REQUIRE_FALSE(pushed);
  CHECK(pushed.error().code == *fault.error);
  CHECK(registry.manifest().empty());
}

}  // namespace

TEST_CASE("push: what a server can answer") {
  for (const Fault& fault : status_faults()) check(fault);
}

TEST_CASE("push: what a connection can do") {
  for (const Fault& fault : connection_faults()) check(fault);
}

TEST_CASE("push: a blob that cannot be read is said to be that, and is not sent again") {
  FaultyRegistry registry({"", At::head, {}, 0, {}, 1});
  auto thread = CurlThread::create();
  REQUIRE(thread);
  RepositoryClient client(
      **thread,
      *parse_repository("127.0.0.1:" + std::to_string(registry.port()) + "/a/b", PlainHttp::loopback_only),
      {}, {});
  auto body = std::make_shared<RequestBody>();
  body->size = 1000;
  body->read = [](uint64_t, MutableBytes) -> Result<void> { return make_error(Code::io, "spool: gone"); };
  auto sent = client.push_blob(kDigest, body);
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == Code::io);
  CHECK(sent.error().message.find("spool: gone") != std::string::npos);
}

TEST_CASE("pull: a document whose digest the server says otherwise") {
  std::string right = "sha256:" + to_hex(sha256(as_bytes(kManifest))), wrong = "sha256:" + to_hex(kDigest);
  FakeOrigin origin([&](const FakeRequest& request) {
    std::string digest = request.target.ends_with("/right") ? right : wrong;
    return FakeReply{
        http_reply(200, "Content-Type: text/x\r\nDocker-Content-Digest: " + digest + "\r\n", kManifest)};
  });
  auto thread = CurlThread::create();
  REQUIRE(thread);
  RepositoryClient client(
      **thread,
      *parse_repository("127.0.0.1:" + std::to_string(origin.port()) + "/a/b", PlainHttp::loopback_only), {},
      {});
  auto document = client.document("right");
  REQUIRE(document);
  CHECK(document->text == kManifest);
  CHECK(document->media_type == "text/x");
  CHECK(client.document("wrong").error().code == Code::digest_mismatch);
}
