// The parts of fetching that decide and do not transfer.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/redirect_memory.h"
#include "erofs-format/registry/response_head.h"
#include "erofs-format/registry/retry.h"

using namespace erofs_format;
using namespace erofs_format::registry;

namespace {

Result<ResponseHead> parse(std::string_view text) { return parse_response_head(as_bytes(text)); }
Result<ResponseHead> parse_header(const std::string& line) {
  return parse("HTTP/1.1 200 OK\r\n" + line + "\r\n\r\n");
}

}  // namespace

TEST_CASE("response head: what is understood") {
  auto head = parse(
      "HTTP/1.1 206 Partial Content\r\nContent-LENGTH: 10\r\ncontent-range:bytes 5-14/100\r\n"
      "Location:  /x?y \t\r\nWWW-Authenticate: Basic realm=\"a\"\r\nwww-authenticate: Bearer realm=\"b\"\r\n"
      "Retry-After: 7\r\nContent-Type: text/plain; charset=utf-8\r\nX-Odd: \xc3\xa9\ttab\r\nEmpty:\r\n\r\n");
  REQUIRE_MESSAGE(head, head.error().message);
  CHECK(head->status == 206);
  CHECK(head->content_length == 10);
  CHECK(head->content_range->span->first == 5);
  CHECK(head->content_range->span->last == 14);
  CHECK(head->content_range->total == 100);
  CHECK(head->location == "/x?y");
  CHECK(head->challenges.size() == 2);
  CHECK(head->retry_after_s == 7);
  CHECK(head->content_type == "text/plain");
  CHECK_FALSE(head->encoded);
  CHECK(parse("HTTP/1.0 599\r\n\r\n")->status == 599);
  CHECK(parse("HTTP/1.1 100 \r\n\r\n")->status == 100);
  CHECK_FALSE(parse_header("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT")->retry_after_s);
  CHECK(parse_header("Content-Length: 5\r\nContent-Length: 5")->content_length == 5);
  CHECK(parse_header("Content-Encoding: gzip")->encoded);
  CHECK(parse_header("Content-Encoding: identity\r\nContent-Encoding: br")->encoded);
  CHECK_FALSE(parse_header("Content-Encoding: Identity")->encoded);
}

TEST_CASE("response head: what is refused") {
  for (const char* text :
       {"", "\r\n", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n",
        "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 O\x01K\r\n\r\n",
        "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\n\r\nbody"}) {
    INFO(std::string(text));
    CHECK_FALSE(parse(text));
  }
  for (const char* line :
       {"no colon", ": value", "A : b", " folded: x", "\tfolded: x", "A: b\x7f", "A: b\rc", "A: b\nc",
        "A(): b", "Content-Length: ", "Content-Length: -1", "Content-Length: +1", "Content-Length: 1 ,2",
        "Content-Length: 0x10", "Content-Length: 18446744073709551616",
        "Content-Length: 5\r\nContent-Length: 6", "Content-Range: bytes",
        "Content-Range: bytes 0-1/2\r\nContent-Range: bytes 0-1/2", "Location: /a\r\nLocation: /b"}) {
    INFO(std::string(line));
    CHECK_FALSE(parse_header(line));
  }
  CHECK_FALSE(parse_header(std::string("A: b\0c", 6)));
}

TEST_CASE("response head: limits") {
  std::string many;
  for (size_t i = 0; i < kMaxResponseHeaders; i++) many += "A: b\r\n";
  CHECK(parse("HTTP/1.1 200 OK\r\n" + many + "\r\n"));
  CHECK_FALSE(parse("HTTP/1.1 200 OK\r\n" + many + "A: b\r\n\r\n"));
  std::string frame = "HTTP/1.1 200 OK\r\nA: \r\n\r\n";
  CHECK(parse_header("A: " + std::string(kMaxResponseHeadBytes - frame.size(), 'x')));
  CHECK_FALSE(parse_header("A: " + std::string(kMaxResponseHeadBytes - frame.size() + 1, 'x')));
}

TEST_CASE("Content-Range: exact forms only") {
  CHECK(parse_content_range("bytes 0-0/1")->total == 1);
  CHECK_FALSE(parse_content_range("bytes 0-9/*")->total);
  CHECK(parse_content_range("bytes */10")->total == 10);
  CHECK_FALSE(parse_content_range("bytes */10")->span);
  CHECK(parse_content_range("Bytes 18446744073709551614-18446744073709551614/18446744073709551615"));
  for (const char* text :
       {"", "bytes", "bytes ", "bytes */*", "bytes 1-0/10", "bytes 0-10/10", "bytes 0-9", "bytes -9/10",
        "bytes 0-/10", "bytes 0-9/", "bytes=0-9/10", "items 0-9/10", "bytes  0-9/10", "bytes 0-9/10 ",
        "bytes 0 -9/10", "bytes 0-9/-1", "bytes 0-18446744073709551616/*", "bytes 0-1/10/10"}) {
    INFO(std::string(text));
    CHECK_FALSE(parse_content_range(text));
  }
}

TEST_CASE("back-off: doubles, within its bounds, never below what the server asked") {
  std::minstd_rand random(3);
  for (unsigned next = 2; next <= 40; next++) {
    uint64_t full = std::min<uint64_t>(100ull << std::min(next - 2, 16u), kBackoffMaxMs);
    for (int i = 0; i < 50; i++) {
      uint64_t pause = *backoff_ms(next, 100, random(), std::nullopt);
      CHECK(pause >= full / 2);
      CHECK(pause <= full);
    }
  }
  CHECK(*backoff_ms(2, 100, 0, 3) == 3000);
  CHECK(*backoff_ms(2, 100, 0, 0) == 50);
  CHECK(backoff_ms(2, 100, 0, kMaxRetryAfterMs / 1000));
  CHECK_FALSE(backoff_ms(2, 100, 0, kMaxRetryAfterMs / 1000 + 1));
  CHECK_FALSE(backoff_ms(2, 100, 0, UINT64_MAX));
}

TEST_CASE("redirect memory: runs out, and is bounded") {
  RedirectMemory memory;
  RedirectMemory::Target target{*registry::parse_url("http://store/x"), registry::Reach::network};
  memory.remember("a", target, 1000);
  CHECK(memory.find("a", 1000)->url.text == "http://store/x");
  CHECK(memory.find("a", 1000 + kRedirectMemoryMs - 1));
  CHECK_FALSE(memory.find("a", 1000 + kRedirectMemoryMs));
  CHECK(memory.size() == 0);
  memory.remember("a", target, 1000);
  memory.forget("a");
  CHECK_FALSE(memory.find("a", 1000));
  for (size_t i = 0; i < 3 * kMaxRedirectMemory; i++) {
    memory.remember(std::to_string(i), target, 0);
    CHECK(memory.size() <= kMaxRedirectMemory);
    CHECK(memory.find(std::to_string(i), 0));
  }
}
