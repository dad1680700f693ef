// The network's faults, one table: what the reader gets and what it may cost, from an HTTP server and from a
// registry, for the first fetch of a blob and a later one, on a new connection and on one that was used
// before.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "erofs-format/registry/limits.h"
#include "fscached/tests/fake_origin.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;
using namespace registry;

namespace {

using End = FakeReply::End;

constexpr uint64_t kOffset = 20'000;
constexpr size_t kSize = 10'000;
const std::string kBlob(64, 'e'), kOtherBlob(64, 'f');
const std::string kRange = "Content-Range: bytes 20000-29999/50000\r\n";

std::string make_content() {
  std::string content(50'000, '\0');
  uint32_t state = 9;
  for (char& c : content) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return content;
}
const std::string kContent = make_content();
std::string body(size_t bytes = kSize) { return kContent.substr(kOffset, bytes); }

FakeReply head_and(const std::string& bytes, End end, const std::string& more = "") {
  return {fmt::format("HTTP/1.1 206 X\r\n{}{}Content-Length: {}\r\n\r\n", kRange, more, kSize) + bytes, end};
}

// A server or a registry that is honest until `fault` is set.
class FaultyServer {
 public:
  // The answer to the n-th request for the blob since then; none: the truth.
  using Fault = std::function<std::optional<FakeReply>(FaultyServer&, const FakeRequest&)>;

  explicit FaultyServer(bool registry) : registry_(registry) {}
  std::string where() const {
    return registry_ ? fmt::format("docker://127.0.0.1:{}/a/b", origin_.port()) : origin_.url("/");
  }
  std::string url() const { return origin_.url(registry_ ? "/v2/a/b/blobs/sha256:" : "/") + kBlob; }
  std::string challenge() const {
    return "WWW-Authenticate: Bearer realm=\"" + origin_.url("/token") + "\"\r\n";
  }
  void close_after_each(bool on) { closes_ = on; }
  void begin(const Fault& fault) { fault_ = &fault; }
  // Requests for the blob that carried what they must.
  size_t counted() const { return counted_; }
  void renew_token() { token_++; }

 private:
  FakeReply answer(const FakeRequest& request) {
    if (request.target.starts_with("/token"))
      return {http_reply(200, "", fmt::format("{{\"token\":\"t{}\"}}", token_.load()))};
    if (registry_ && request.header("authorization") != fmt::format("Bearer t{}", token_.load()))
      return {http_reply(401, challenge(), "")};
    if (fault_ != nullptr) {
      FakeRequest numbered = request;
      numbered.number = counted_++;
      if (auto reply = (*fault_)(*this, numbered)) return *reply;
    }
    FakeReply reply = honest_reply(request, kContent);
    if (closes_) reply.end = End::close;
    return reply;
  }
  bool registry_;
  std::atomic<bool> closes_ = false;
  std::atomic<const Fault*> fault_ = nullptr;
  std::atomic<size_t> counted_ = 0;
  std::atomic<int> token_ = 1;
  FakeOrigin origin_{[this](const FakeRequest& request) { return answer(request); }};
};

using Fault = FaultyServer::Fault;

Fault always(FakeReply reply) {
  return [reply = std::move(reply)](FaultyServer&, const FakeRequest&) { return reply; };
}
Fault once(FakeReply reply) {
  return [reply = std::move(reply)](FaultyServer&, const FakeRequest& request) {
    return request.number == 0 ? std::optional(reply) : std::nullopt;
  };
}
Fault redirect_to_itself(int status) {
  return [status](FaultyServer& server, const FakeRequest&) {
    return FakeReply{http_reply(status, "Location: " + server.url() + "\r\n", "")};
  };
}
Fault unauthorized(size_t times) {
  return [times](FaultyServer& server, const FakeRequest& request) {
    return request.number < times ? std::optional(FakeReply{http_reply(401, server.challenge(), "")})
                                  : std::nullopt;
  };
}

struct Outcome {
  std::optional<Code> error = std::nullopt;  // none: the right bytes
  size_t requests = 1;
};
struct Row {
  const char* name;
  Fault fault;
  Outcome http;
  std::optional<Outcome> registry = std::nullopt;  // where it differs
  bool stalls = false;                             // ends by a timeout alone
};

constexpr size_t kRedirects = kMaxRedirects + 1;
const Outcome kRepeated = {std::nullopt, 2};
const Outcome kInVain = {Code::network, kMaxAttempts};
const Outcome kLie = {Code::corrupt, 1};

std::vector<Row> connection_rows() {
  return {
      {"reset at byte 0", once({"", End::reset}), kRepeated},
      {"reset at byte 0, always", always({"", End::reset}), kInVain},
      {"reset in the middle", once(head_and(body(5000), End::reset)), kRepeated},
      {"reset at the last byte", once(head_and(body(kSize - 1), End::reset)), kRepeated},
      {"stall before the body", always({"", End::stall}), {Code::timeout, 1}, std::nullopt, true},
      {"stall in the body", always(head_and(body(5000), End::stall)), {Code::timeout, 1}, std::nullopt, true},
      {"a byte at a time", always(head_and("", End::trickle)), {Code::timeout, 1}, std::nullopt, true},
      {"truncated", once(head_and(body(5000), End::close)), kRepeated},
      {"truncated, always", always(head_and("", End::close)), kInVain},
      {"too long", always({"HTTP/1.1 206 X\r\n" + kRange + "\r\n" + body() + "x", End::close}), kLie},
      {"bad chunked coding",
       once({"HTTP/1.1 206 X\r\n" + kRange + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", End::close}),
       kRepeated},
      {"token running out in the middle of a read",
       [](FaultyServer& server, const FakeRequest& request) -> std::optional<FakeReply> {
         if (request.number > 0) return std::nullopt;
         server.renew_token();
         return head_and(body(5000), End::close);
       },
       kRepeated},
  };
}

std::vector<Row> answer_rows() {
  return {
      {"200 for a range", always({http_reply(200, "", kContent)}), kLie},
      {"wrong Content-Range", always({http_reply(206, "Content-Range: bytes 20001-30000/50000\r\n", body())}),
       kLie},
      {"206 with another length", always({http_reply(206, kRange, body(kSize - 1))}), kLie},
      {"301 in a circle", redirect_to_itself(301), {Code::network, kRedirects}},
      {"307 in a circle", redirect_to_itself(307), {Code::network, kRedirects}},
      {"401 once", unauthorized(1), {Code::auth, 1}, kRepeated},
      {"401 always", unauthorized(99), {Code::auth, 1}, Outcome{Code::auth, kMaxTokensPerRead}},
      {"403", always({http_reply(403, "", "no")}), {Code::auth, 1}},
      {"404", always({http_reply(404, "", "no")}), {Code::not_found, 1}},
      {"416", always({http_reply(416, "Content-Range: bytes */7\r\n", "")}), kLie},
      {"429 with Retry-After", once({http_reply(429, "Retry-After: 0\r\n", "")}), kRepeated},
      {"429 for an hour", always({http_reply(429, "Retry-After: 3600\r\n", "")}), {Code::network, 1}},
      {"500", always({http_reply(500, "", "")}), kInVain},
      {"503 then good", once({http_reply(503, "", "busy")}), kRepeated},
      {"a header of 1 MiB",
       always(head_and(body(), End::close, "X: " + std::string(1 << 20, 'a') + "\r\n")),
       {Code::too_large, 1}},
      {"a header with NUL",
       always(head_and(body(), End::keep, std::string("X: a\0b\r\n", 8))),
       {Code::network, 1}},
  };
}

// How far the client is when the fault comes.
struct Prelude {
  const char* name;
  bool same_blob, other_blob, warm;
};
constexpr Prelude kPreludes[] = {
    {"first fetch, new connection", false, false, false},
    {"later fetch, new connection", true, false, false},
    {"first fetch, used connection", false, true, true},
    {"later fetch, used connection", true, true, true},
};

void check_cell(const Row& row, bool registry, const Prelude& prelude) {
  INFO(std::string(row.name) << ", " << std::string(registry ? "registry" : "http") << ", "
                             << std::string(prelude.name));
  FaultyServer server(registry);
  StorageOptions options = quick_options();
  if (row.stalls) options.read_timeout_ms = 150;
  StorageClient client(server.where(), options);
  server.close_after_each(!prelude.warm);
  if (prelude.other_blob) REQUIRE(client.read(kOtherBlob, 0, 10));
  if (prelude.same_blob) REQUIRE(client.read(kBlob, 0, 10));
  server.begin(row.fault);
  auto got = client.read(kBlob, kOffset, kSize);
  Outcome wanted = registry ? row.registry.value_or(row.http) : row.http;
  if (wanted.error) {
    REQUIRE_FALSE(got);
    INFO(got.error().message);
    CHECK(got.error().code == *wanted.error);
    CHECK(got.error().message.find(server.url() + ": 10000 bytes at 20000: ") == 0);
  } else {
    REQUIRE_MESSAGE(got, got.error().message);
    CHECK((*got == body()));
  }
  // libcurl itself repeats a request, once, when a kept connection proves dead before a byte came; a
  // registry's first read has used one for its token, and a later one has a token to try beside those it asks
  // for.
  CHECK(server.counted() >= wanted.requests);
  CHECK(server.counted() <= wanted.requests + (prelude.warm || registry ? 1 : 0));
  // Nothing is remembered: the next read gets the truth.
  static const Fault honest = [](FaultyServer&, const FakeRequest&) { return std::nullopt; };
  server.begin(honest);
  if (!row.stalls) CHECK(client.read(kBlob, kOffset, kSize));
}

void check_rows(const std::vector<Row>& rows) {
  size_t descriptors = open_descriptors();
  for (const Row& row : rows)
    for (bool registry : {false, true})
      for (const Prelude& prelude : kPreludes) check_cell(row, registry, prelude);
  CHECK(open_descriptors() == descriptors);
}

}  // namespace

TEST_CASE("network faults: connections") { check_rows(connection_rows()); }

TEST_CASE("network faults: answers") { check_rows(answer_rows()); }

TEST_CASE("network faults: nobody there, and a name that is none") {
  uint16_t port = FakeOrigin([](const FakeRequest&) { return FakeReply{}; }).port();
  std::string address = fmt::format("127.0.0.1:{}", port);
  for (const std::string& where : {"http://" + address + "/", "docker://" + address + "/a/b"}) {
    INFO(where);
    StorageClient client(where, quick_options());
    CHECK(client.read(kBlob, 0, 1).error().code == Code::network);
    CHECK(client.counters.requests == kMaxAttempts);
  }
  for (const char* where : {"http://name.invalid/", "docker://name.invalid/a/b"}) {
    INFO(std::string(where));
    StorageOptions options = quick_options();
    options.read_timeout_ms = 2'000;  // resolvers may be slow to say no
    StorageClient client(where, options);
    auto got = client.read(kBlob, 0, 1);
    REQUIRE_FALSE(got);
    CHECK((got.error().code == Code::network || got.error().code == Code::timeout));
  }
}
