#include "fscached/kernel/cachefiles_wire.h"

#include <doctest/doctest.h>

#include "fscached/tests/cachefiles_records.h"

using namespace fscached;

namespace {

using Kind = CachefilesMessage::Kind;

CachefilesMessage parsed(const Buffer& bytes) {
  CachefilesMessage message;
  REQUIRE(parse_cachefiles_message(bytes, message));
  return message;
}

std::string refused(const Buffer& bytes) {
  CachefilesMessage message;
  auto result = parse_cachefiles_message(bytes, message);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::corrupt);
  return result.error().message;
}

Buffer with(Buffer bytes, size_t at, uint32_t value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
  return bytes;
}

}  // namespace

TEST_CASE("cachefiles messages: what a kernel wrote") {
  // Captured from Linux 6.12: the first opening of fsid=meta.
  const uint8_t captured[] = {0,    0,   0,   0,   0,   0,   0,   0,   0x2f, 0,   0, 0,   1,   0,   0,  0,
                              0x0b, 0,   0,   0,   4,   0,   0,   0,   4,    0,   0, 0,   0,   0,   0,  0,
                              'e',  'r', 'o', 'f', 's', ',', 'm', 'e', 't',  'a', 0, 'm', 'e', 't', 'a'};
  CachefilesMessage open = parsed(Buffer(std::begin(captured), std::end(captured)));
  CHECK(open.kind == Kind::open);
  CHECK(open.object == 1);
  CHECK(open.fd == 4);
  CHECK(open.volume_key == "erofs,meta");
  CHECK(open.cookie_key == "meta");
}

TEST_CASE("cachefiles messages: each kind") {
  CachefilesMessage open = parsed(open_message(7, 9, 33, "erofs,d", "blob"));
  CHECK(open.id == 7);
  CHECK(open.fd == 33);
  CachefilesMessage read = parsed(read_message(8, 9, 4096, 1 << 20));
  CHECK(read.kind == Kind::read);
  CHECK(read.object == 9);
  CHECK(read.offset == 4096);
  CHECK(read.count == 1 << 20);
  CHECK(parsed(close_message(9, 9)).kind == Kind::close);
}

TEST_CASE("cachefiles messages: anything else is refused, and names its byte") {
  Buffer open = open_message(1, 1, 5, "erofs,d", "blob"), read = read_message(1, 1, 0, 4096);
  CHECK(refused({}).find("byte 0") != std::string::npos);
  CHECK(refused(Buffer(open.begin(), open.begin() + 15)).find("byte 0") != std::string::npos);
  CHECK(refused(Buffer(open.begin(), open.end() - 1)).find("byte 8") != std::string::npos);
  CHECK(refused(with(read, 4, 3)).find("byte 4: unknown kind 3") != std::string::npos);
  CHECK(refused(with(open, 16, 0)).find("byte 16") != std::string::npos);
  CHECK(refused(with(open, 16, UINT32_MAX)).find("byte 16") != std::string::npos);
  CHECK(refused(with(open, 20, 5)).find("byte 16") != std::string::npos);
  CHECK(refused(with(open, 24, UINT32_MAX)).find("byte 24") != std::string::npos);
  CHECK(refused(open_message(1, 1, 5, std::string("a\0b", 3), "blob")).find("byte 32") != std::string::npos);
  CHECK(refused(read_message(1, 1, 0, 0)).find("byte 16") != std::string::npos);
  CHECK(refused(read_message(1, 1, UINT64_MAX, 4096)).find("byte 16") != std::string::npos);
  CHECK(refused(message(1, abi::kOpClose, 1, Buffer(4))).find("byte 8") != std::string::npos);
  CHECK(refused(message(1, abi::kOpRead, 1, Buffer(20))).find("byte 8") != std::string::npos);
  // A descriptor that came with a message that is refused must be known, to be closed.
  CachefilesMessage broken;
  REQUIRE_FALSE(parse_cachefiles_message(with(open, 20, 5), broken));
  CHECK(broken.fd == 5);
}
