// A client of servers that others wrote; fscached/tests/100-real-origins starts them and sets the
// environment:
//   ORIGIN_WHERE  what --blobs would say        ORIGIN_BLOB   the blob's id
//   ORIGIN_FILE   a file with its true content  ORIGIN_CA     an authority's certificate, or nothing
//   ORIGIN_EXPECT "ok", or a part of the message with which every read must fail
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

#include "fscached/tests/storage_client.h"

using namespace fscached;

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  REQUIRE(file);
  return content.str();
}

void check_honest(StorageClient& client, const std::string& blob, const std::string& content) {
  CHECK(*client.size(blob) == content.size());
  auto whole = client.read(blob, 0, content.size());
  REQUIRE_MESSAGE(whole, whole.error().message);
  CHECK((*whole == content));
  std::mt19937_64 random(std::random_device{}());
  for (int i = 0; i < 100; i++) {
    uint64_t offset = random() % content.size();
    size_t size = 1 + random() % (content.size() - offset);
    INFO("offset " << offset << " size " << size);
    auto piece = client.read(blob, offset, size);
    REQUIRE_MESSAGE(piece, piece.error().message);
    CHECK((*piece == content.substr(offset, size)));
  }
  auto pieces = client.read_many(blob, 64, content.size() / 64);
  for (size_t i = 0; i < pieces.size(); i++)
    CHECK((pieces[i] == content.substr(i * (content.size() / 64), content.size() / 64)));
  CHECK_FALSE(client.read(blob, content.size() - 1, 2));
  CHECK_FALSE(client.read(blob, content.size(), 1));
  CHECK(client.read(std::string(64, '0'), 0, 1).error().code == Code::not_found);
}

}  // namespace

TEST_CASE("real origin" * doctest::skip(std::getenv("ORIGIN_WHERE") == nullptr)) {
  StorageOptions options = quick_options();
  options.ca_file = environment("ORIGIN_CA");
  StorageClient client(environment("ORIGIN_WHERE"), options);
  std::string blob = environment("ORIGIN_BLOB"), expected = environment("ORIGIN_EXPECT");
  if (expected == "ok") return check_honest(client, blob, content_of(environment("ORIGIN_FILE")));
  for (int i = 0; i < 3; i++) {
    auto got = client.read(blob, 0, 100);
    REQUIRE_FALSE(got);
    INFO(got.error().message);
    CHECK(got.error().message.find(expected) != std::string::npos);
  }
}
