#include "fscached/personality/http_request.h"

#include <doctest/doctest.h>

#include "fscached/limits.h"
#include "fscached/personality/launcher_wire.h"

using namespace fscached;

namespace {

// All requests of a connection whose bytes come `step` at a time, and how it ended.
struct Read {
  std::vector<HttpRequest> requests;
  std::string error;
};

Read read(const std::string& bytes, size_t step) {
  HttpRequestReader reader;
  Read read;
  for (size_t at = 0; at < bytes.size(); at += step) {
    ByteView came = as_bytes(bytes).subspan(at, std::min(step, bytes.size() - at));
    for (;;) {
      auto request = reader.take(came);
      came = {};
      if (!request) return read.error = request.error().message, read;
      if (!*request) break;
      read.requests.push_back(std::move(**request));
    }
  }
  return read;
}

std::string refusal(const std::string& bytes) { return read(bytes, bytes.size()).error; }

}  // namespace

TEST_CASE("http request: one after the other, cut anywhere") {
  const std::string bytes =
      "POST /api/v1/mount?mountpoint=%2F8&x=a+b HTTP/1.1\r\nHost: unix\r\nContent-Type: application/json\r\n"
      "Content-Length: 7\r\n\r\n{\"a\":1}"
      "GET http://unix/api/v1/daemon HTTP/1.1\r\nHost: unix\r\n\r\n"
      "PUT /api/v1/daemon/start HTTP/1.1\r\nHost: unix\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "DELETE /x HTTP/1.1\r\nConnection: close\r\n\r\n";
  for (size_t step = 1; step <= bytes.size(); step++) {
    Read all = read(bytes, step);
    CAPTURE(step);
    REQUIRE(all.error == "");
    REQUIRE(all.requests.size() == 4);
    CHECK(all.requests[0].method == "POST");
    CHECK(all.requests[0].path == "/api/v1/mount");
    CHECK(all.requests[0].parameter("mountpoint") == "/8");
    CHECK(all.requests[0].parameter("x") == "a b");
    CHECK(all.requests[0].body == "{\"a\":1}");
    CHECK(all.requests[0].keep_alive);
    CHECK(all.requests[1].path == "/api/v1/daemon");
    CHECK(all.requests[1].body == "");
    CHECK(all.requests[2].body == "abc");
    CHECK(all.requests[3].method == "DELETE");
    CHECK_FALSE(all.requests[3].keep_alive);
  }
}

TEST_CASE("http request: what is none, or too much, is an error") {
  CHECK(refusal("nonsense\r\n\r\n") != "");
  CHECK(refusal("GET /a%zz HTTP/1.1\r\n\r\n") != "");
  CHECK(refusal("GET /a?b=%00 HTTP/1.1\r\n\r\n") != "");
  CHECK(refusal("GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n") != "");
  CHECK(refusal("GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n") != "");
  CHECK(refusal("PUT /a HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n").find("too large") != std::string::npos);
  CHECK(refusal("GET /" + std::string(kMaxApiHeadBytes, 'a') + " HTTP/1.1\r\n\r\n").find("too large") !=
        std::string::npos);
  CHECK(refusal("GET / HTTP/1.1\r\nA: " + std::string(kMaxApiHeadBytes + 1, 'a') + "\r\n\r\n")
            .find("too large") != std::string::npos);
}

TEST_CASE("http request: leave to send a body is asked for once") {
  HttpRequestReader reader;
  auto none = reader.take(as_bytes("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"));
  REQUIRE(none);
  CHECK_FALSE(none->has_value());
  CHECK(reader.wants_continue());
  CHECK_FALSE(reader.wants_continue());
  CHECK(reader.take(as_bytes("x"))->has_value());
}

TEST_CASE("http answer: a length, or no body at all") {
  CHECK(
      to_bytes({200, "{}"}, true) ==
      "HTTP/1.1 200 OK\r\nServer: fscached\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
  CHECK(to_bytes({204, ""}, false) ==
        "HTTP/1.1 204 No Content\r\nServer: fscached\r\nConnection: close\r\n\r\n");
}

TEST_CASE("the API's mountpoints stay below the one of the command line") {
  CHECK(*mountpoint_of("/r/mnt", "/8") == "/r/mnt/8");
  CHECK(*mountpoint_of("/r/mnt", "/a/b") == "/r/mnt/a/b");
  CHECK(*mountpoint_of("/r/mnt", "/") == "/r/mnt");
  for (const char* name : {"", "8", "/..", "/../x", "/a/..", "/a//b", "/.", "/a/"})
    CHECK_FALSE(mountpoint_of("/r/mnt", name));
}
