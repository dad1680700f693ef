#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "erofs-format/registry/limits.h"
#include "fscached/tests/fake_origin.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;
using namespace registry;

namespace {

const std::string kBlob = std::string(63, '0') + "1";

std::string make_content(size_t size) {
  std::string content(size, '\0');
  uint32_t state = 12345;
  for (char& c : content) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return content;
}
const std::string kContent = make_content(300'000);

using End = FakeReply::End;
constexpr uint64_t kOffset = 100'000;
constexpr size_t kSize = 50'000;

std::string right_head(const std::string& more = "", size_t length = kSize) {
  return "HTTP/1.1 206 X\r\nContent-Range: bytes 100000-149999/300000\r\n" + more +
         "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}
std::string right_body() { return kContent.substr(kOffset, kSize); }

// What the reader gets, and how many requests it takes.
struct Cell {
  const char* name;
  FakeOrigin::Script script;
  std::optional<Code> error;  // none: the right bytes
  size_t requests;
};

FakeOrigin::Script always(FakeReply reply) {
  return [reply = std::move(reply)](const FakeRequest&) { return reply; };
}
// `reply` to the first request, the truth afterwards.
FakeOrigin::Script once(FakeReply reply) {
  return [reply = std::move(reply)](const FakeRequest& request) {
    return request.number == 0 ? reply : honest_reply(request, kContent);
  };
}

std::vector<Cell> status_cells() {
  return {
      {"403", always({http_reply(403, "", "no")}), Code::auth, 1},
      {"404", always({http_reply(404, "", "no")}), Code::not_found, 1},
      {"410", always({http_reply(410, "", "no")}), Code::not_found, 1},
      {"416", always({http_reply(416, "Content-Range: bytes */7\r\n", "")}), Code::corrupt, 1},
      {"401 without a registry", always({http_reply(401, "WWW-Authenticate: Bearer realm=\"x\"\r\n", "")}),
       Code::auth, 1},
      {"500 for ever", always({http_reply(500, "", "")}), Code::network, kMaxAttempts},
      {"503 then good", once({http_reply(503, "", "busy")}), std::nullopt, 2},
      {"502 that hangs up", once({http_reply(502, "", "x"), End::close}), std::nullopt, 2},
      {"501", always({http_reply(501, "", "")}), Code::network, 1},
      {"429 with Retry-After 0, then good", once({http_reply(429, "Retry-After: 0\r\n", "")}), std::nullopt,
       2},
      {"429 with Retry-After beyond the limit", always({http_reply(429, "Retry-After: 3600\r\n", "")}),
       Code::network, 1},
      {"a huge error page", always({http_reply(404, "", std::string(4 << 20, 'x'))}), Code::not_found, 1},
      {"100 Continue before the answer",
       [](const FakeRequest& request) {
         return FakeReply{"HTTP/1.1 100 Continue\r\n\r\n" + honest_reply(request, kContent).bytes};
       },
       std::nullopt, 1},
      {"304", always({"HTTP/1.1 304 X\r\n\r\n"}), Code::network, 1},
  };
}

std::vector<Cell> connection_cells() {
  return {
      {"honest", [](const FakeRequest& r) { return honest_reply(r, kContent); }, std::nullopt, 1},
      {"reset before a byte, once", once({"", End::reset}), std::nullopt, 2},
      {"reset before a byte, always", always({"", End::reset}), Code::network, kMaxAttempts},
      {"closed before a byte, always", always({"", End::close}), Code::network, kMaxAttempts},
      {"reset in the middle, once", once({right_head() + right_body().substr(0, 20'000), End::reset}),
       std::nullopt, 2},
      {"reset before the last byte, once",
       once({right_head() + right_body().substr(0, kSize - 1), End::reset}), std::nullopt, 2},
      {"truncated, once", once({right_head() + right_body().substr(0, 10), End::close}), std::nullopt, 2},
      {"truncated, always", always({right_head(), End::close}), Code::network, kMaxAttempts},
      {"truncated without a length, once",
       once({"HTTP/1.1 206 X\r\nContent-Range: bytes 100000-149999/300000\r\n\r\n" +
                 right_body().substr(0, 99),
             End::close}),
       std::nullopt, 2},
      {"right without a length",
       always({"HTTP/1.1 206 X\r\nContent-Range: bytes 100000-149999/300000\r\n\r\n" + right_body(),
               End::close}),
       std::nullopt, 1},
      {"chunked",
       always({"HTTP/1.1 206 X\r\nContent-Range: bytes 100000-149999/*\r\nTransfer-Encoding: "
               "chunked\r\n\r\nc350\r\n" +
               right_body() + "\r\n0\r\nX-Trailer: y\r\n\r\n"}),
       std::nullopt, 1},
      {"bad chunked coding, once",
       once({"HTTP/1.1 206 X\r\nContent-Range: bytes 100000-149999/*\r\nTransfer-Encoding: "
             "chunked\r\n\r\nzz\r\n",
             End::close}),
       std::nullopt, 2},
  };
}

std::vector<Cell> lie_cells() {
  std::string range = "Content-Range: bytes 100000-149999/300000\r\n";
  return {
      {"200 for a range", always({http_reply(200, "", kContent)}), Code::corrupt, 1},
      {"an error page with 200", always({http_reply(200, "", "<html>sorry</html>")}), Code::corrupt, 1},
      {"200 of the range's length", always({http_reply(200, "", right_body())}), Code::corrupt, 1},
      {"206 without Content-Range", always({http_reply(206, "", right_body())}), Code::corrupt, 1},
      {"Content-Range shifted by one",
       always({http_reply(206, "Content-Range: bytes 100001-150000/300000\r\n", right_body())}),
       Code::corrupt, 1},
      {"Content-Range shorter than asked",
       always({http_reply(206, "Content-Range: bytes 100000-149998/149999\r\n", right_body().substr(1))}),
       Code::corrupt, 1},
      {"Content-Range of another unit",
       always({http_reply(206, "Content-Range: items 100000-149999/300000\r\n", right_body())}),
       Code::corrupt, 1},
      {"two Content-Ranges", always({http_reply(206, range + range, right_body())}), Code::corrupt, 1},
      {"206 with another length, shorter", always({http_reply(206, range, right_body().substr(1))}),
       Code::corrupt, 1},
      {"206 with another length, longer", always({http_reply(206, range, right_body() + "x")}), Code::corrupt,
       1},
      {"more bytes than asked, no length",
       always({"HTTP/1.1 206 X\r\n" + range + "\r\n" + right_body() + "x", End::close}), Code::corrupt, 1},
      {"gzip-encoded", always({right_head("Content-Encoding: gzip\r\n") + right_body()}), Code::corrupt, 1},
      {"several ranges",
       always({http_reply(206, "Content-Type: multipart/byteranges; boundary=x\r\n", right_body())}),
       Code::corrupt, 1},
  };
}

std::vector<Cell> head_cells() {
  return {
      {"a header of 1 MiB",
       always({right_head("X: " + std::string(1 << 20, 'a') + "\r\n") + right_body(), End::close}),
       Code::too_large, 1},
      {"a head of 80 KiB",
       [](const FakeRequest&) {
         std::string many;
         for (int i = 0; i < 80; i++)
           many += "X" + std::to_string(i) + ": " + std::string(1024, 'a') + "\r\n";
         return FakeReply{right_head(many) + right_body(), End::close};
       },
       Code::too_large, 1},
      {"too many headers",
       [](const FakeRequest&) {
         std::string many;
         for (size_t i = 0; i < kMaxResponseHeaders; i++) many += "A: b\r\n";
         return FakeReply{right_head(many) + right_body()};
       },
       Code::corrupt, 1},
      {"a header with NUL", always({right_head(std::string("X: a\0b\r\n", 8)) + right_body()}), Code::network,
       1},
      {"a header with a control byte", always({right_head("X: a\x01z\r\n") + right_body()}), Code::corrupt,
       1},
      {"not HTTP", always({"SSH-2.0-OpenSSH_9.2\r\n", End::close}), Code::network, 1},
      {"HTTP/0.9", always({"<html>x</html>", End::close}), Code::network, 1},
  };
}

void check_cell(const Cell& cell) {
  INFO(std::string(cell.name));
  FakeOrigin origin(cell.script);
  StorageClient client(origin.url("/blobs"), quick_options());
  auto got = client.read(kBlob, kOffset, kSize);
  if (cell.error) {
    REQUIRE_FALSE(got);
    INFO(got.error().message);
    CHECK(got.error().code == *cell.error);
    CHECK(got.error().message.find(origin.url("/blobs/" + kBlob) + ": 50000 bytes at 100000") == 0);
  } else {
    REQUIRE_MESSAGE(got, got.error().message);
    CHECK((*got == right_body()));
  }
  CHECK(origin.requests().size() == cell.requests);
  CHECK(client.counters.requests == cell.requests);
  CHECK(client.counters.failures == (cell.error ? 1 : 0));
}

}  // namespace

TEST_CASE("http: each status has its meaning") {
  for (const Cell& cell : status_cells()) check_cell(cell);
}

TEST_CASE("http: broken connections are repeated, within the limit") {
  for (const Cell& cell : connection_cells()) check_cell(cell);
}

TEST_CASE("http: an answer that is not exactly the range asked is refused at once") {
  for (const Cell& cell : lie_cells()) check_cell(cell);
}

TEST_CASE("http: response heads are judged strictly") {
  for (const Cell& cell : head_cells()) check_cell(cell);
}

TEST_CASE("http: the same faults on a warm connection") {
  for (auto cells : {status_cells(), connection_cells(), lie_cells(), head_cells()}) {
    for (const Cell& cell : cells) {
      INFO(std::string(cell.name));
      FakeOrigin origin([&](const FakeRequest& request) {
        if (request.number == 0) return honest_reply(request, kContent);
        FakeRequest later = request;
        later.number--;
        return cell.script(later);
      });
      StorageClient client(origin.url("/"), quick_options());
      REQUIRE(client.read(kBlob, 0, 10));
      auto got = client.read(kBlob, kOffset, kSize);
      CHECK(bool(got) == !cell.error);
      if (!got && cell.error) CHECK(got.error().code == *cell.error);
      // libcurl itself repeats a request, once, when a kept connection proves dead before a byte came.
      CHECK(origin.requests().size() >= cell.requests + 1);
      CHECK(origin.requests().size() <= cell.requests + 2);
    }
  }
}

TEST_CASE("http: what came before a break is not asked again") {
  FakeOrigin origin(once({right_head() + right_body().substr(0, 20'000), End::close}));
  StorageClient client(origin.url("/"), quick_options());
  auto got = client.read(kBlob, kOffset, kSize);
  REQUIRE(got);
  CHECK((*got == right_body()));
  REQUIRE(origin.requests().size() == 2);
  CHECK(origin.requests()[0].header("range") == "bytes=100000-149999");
  CHECK(origin.requests()[1].header("range") == "bytes=120000-149999");
}

TEST_CASE("http: a stall and a trickle end as a timeout") {
  for (FakeReply reply : {FakeReply{"", End::stall}, FakeReply{right_head(), End::stall},
                          FakeReply{right_head(), End::trickle}}) {
    StorageOptions options = quick_options();
    options.read_timeout_ms = 400;
    FakeOrigin origin(always(reply));
    StorageClient client(origin.url("/"), options);
    auto got = client.read(kBlob, kOffset, kSize);
    REQUIRE_FALSE(got);
    CHECK(got.error().code == Code::timeout);
  }
}

TEST_CASE("http: a stall is repeated before the deadline") {
  StorageOptions options = quick_options();
  options.stall_timeout_s = 1;
  FakeOrigin origin(once({right_head() + right_body().substr(0, 7), End::stall}));
  StorageClient client(origin.url("/"), options);
  auto got = client.read(kBlob, kOffset, kSize);
  REQUIRE_MESSAGE(got, got.error().message);
  CHECK((*got == right_body()));
}

TEST_CASE("http: a whole blob may come with 200") {
  FakeOrigin origin([](const FakeRequest&) { return FakeReply{http_reply(200, "", kContent)}; });
  StorageClient client(origin.url("/"), quick_options());
  auto got = client.read(kBlob, 0, kContent.size());
  REQUIRE(got);
  CHECK((*got == kContent));
  CHECK(client.read(kBlob, 0, kContent.size() - 1).error().code == Code::corrupt);
}

TEST_CASE("http: one connection serves many reads; many reads at once all come right") {
  FakeOrigin origin([](const FakeRequest& request) { return honest_reply(request, kContent); });
  StorageClient client(origin.url("/"), quick_options());
  for (uint64_t i = 0; i < 20; i++)
    CHECK((*client.read(kBlob, i * 1000, 1000) == kContent.substr(i * 1000, 1000)));
  CHECK(origin.connections() == 1);
  auto all = client.read_many(kBlob, 200, 1500);
  for (size_t i = 0; i < all.size(); i++) CHECK((all[i] == kContent.substr(i * 1500, 1500)));
  CHECK(origin.connections() <= static_cast<size_t>(kMaxConnectionsPerOrigin));
  CHECK(client.counters.bytes == 20 * 1000 + 200 * 1500);
}

TEST_CASE("http: sizes") {
  std::string content = kContent;
  FakeOrigin origin([&](const FakeRequest& request) {
    if (request.target.ends_with("9")) return FakeReply{http_reply(404, "", "")};
    return honest_reply(request, content);
  });
  StorageClient client(origin.url("/"), quick_options());
  CHECK(*client.size(kBlob) == 300'000);
  content = "x";
  CHECK(*client.size(kBlob) == 1);
  content = "";
  CHECK(*client.size(kBlob) == 0);
  CHECK(client.size(std::string(64, '9')).error().code == Code::not_found);
}

TEST_CASE("http: what cannot be asked is refused before a request") {
  FakeOrigin origin([](const FakeRequest& request) { return honest_reply(request, kContent); });
  StorageClient client(origin.url("/"), quick_options());
  CHECK(client.read("../x", 0, 1).error().code == Code::invalid_argument);
  CHECK(*client.read(kBlob, 5, 0) == "");
  CHECK(origin.requests().empty());
}

TEST_CASE("http: refused connection, and a name that does not exist") {
  uint16_t port = 0;
  {
    port = FakeOrigin([](const FakeRequest&) { return FakeReply{}; }).port();
  }
  StorageClient client("http://127.0.0.1:" + std::to_string(port) + "/", quick_options());
  CHECK(client.read(kBlob, 0, 1).error().code == Code::network);
  CHECK(client.counters.requests == kMaxAttempts);
  StorageClient nowhere("http://name.invalid/", quick_options());
  auto got = nowhere.read(kBlob, 0, 1);
  REQUIRE_FALSE(got);
  CHECK((got.error().code == Code::network || got.error().code == Code::timeout));
}

TEST_CASE("http: cancelled reads tell so, and others go on") {
  FakeOrigin origin([](const FakeRequest& request) {
    if (request.range()->first == 7) return FakeReply{"", End::stall};
    return honest_reply(request, kContent);
  });
  StorageClient client(origin.url("/"), quick_options());
  std::optional<Code> code;
  std::vector<uint8_t> bytes(10);
  auto id = client.storage->read(kBlob, 7, bytes, [&](Result<void> result) {
    if (!result) code = result.error().code;
    client.loop->stop();
  });
  CHECK(client.read(kBlob, 0, 10));
  CHECK_FALSE(code);
  client.storage->cancel(id);
  CHECK_FALSE(code);
  REQUIRE(client.loop->run());
  CHECK(code == Code::cancelled);
  CHECK(client.read(kBlob, 0, 10));
}

TEST_CASE("http: a storage may end in the middle, also inside its own callback") {
  FakeOrigin origin([](const FakeRequest& request) {
    if (request.range()->first == 7) return FakeReply{"", End::stall};
    return honest_reply(request, kContent);
  });
  StorageClient client(origin.url("/"), quick_options());
  std::vector<uint8_t> one(10), two(10);
  bool stalled_ran = false;
  client.storage->read(kBlob, 7, one, [&](Result<void>) { stalled_ran = true; });
  client.storage->read(kBlob, 8, two, [&](Result<void> result) {
    CHECK(result);
    client.storage.reset();
    client.loop->after_ms(20, [&](int32_t) { client.loop->stop(); });
  });
  REQUIRE(client.loop->run());
  CHECK_FALSE(stalled_ran);
}

TEST_CASE("http: nothing is left open after faults") {
  size_t before = open_descriptors();
  for (auto cells : {status_cells(), connection_cells(), lie_cells()}) {
    for (const Cell& cell : cells) {
      FakeOrigin origin(cell.script);
      StorageClient client(origin.url("/"), quick_options());
      (void)client.read(kBlob, kOffset, kSize);
    }
  }
  CHECK(open_descriptors() == before);
}
