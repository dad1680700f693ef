#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <vector>

#include "fscached/storage/storage.h"
#include "fscached/tests/faulty_loop.h"
#include "fscached/tests/scratch.h"

using namespace fscached;

namespace {

const std::string kBlob(64, 'a');

struct Fixture {
  Scratch scratch;
  std::unique_ptr<FaultyLoop> loop = std::make_unique<FaultyLoop>(std::move(*Loop::create(8)));
  StorageCounters counters;
  std::unique_ptr<Storage> storage = std::move(*open_storage(*loop, scratch.path() + "/", counters));

  void put(const std::string& name, const std::string& content) {
    std::ofstream(scratch.path() + "/" + name) << content;
  }
  Result<std::string> read(uint64_t offset, size_t size, const std::string& id = kBlob) {
    std::vector<uint8_t> bytes(size);
    std::optional<Result<void>> outcome;
    storage->read(id, offset, bytes, [&](Result<void> result) {
      outcome = std::move(result);
      loop->stop();
    });
    CHECK_FALSE(outcome);  // never inside read()
    REQUIRE(loop->run());
    REQUIRE(outcome);
    if (!*outcome) return std::move(outcome->error());
    return std::string(bytes.begin(), bytes.end());
  }
};

}  // namespace

TEST_CASE("localfs: exact ranges, and sizes") {
  Fixture f;
  f.put(kBlob, "0123456789");
  CHECK(*f.read(0, 10) == "0123456789");
  CHECK(*f.read(3, 4) == "3456");
  CHECK(*f.read(10, 0) == "");
  CHECK(f.counters.bytes == 14);
  CHECK(f.counters.failures == 0);
  std::optional<uint64_t> size;
  f.storage->size(kBlob, [&](Result<uint64_t> result) {
    size = *result;
    f.loop->stop();
  });
  REQUIRE(f.loop->run());
  CHECK(size == 10);
}

TEST_CASE("localfs: missing, short, and not a file are errors that name the file") {
  Fixture f;
  std::string path = f.scratch.path() + "/" + kBlob;
  auto missing = f.read(0, 1);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Code::not_found);
  CHECK(missing.error().message.find(path) != std::string::npos);

  f.put(kBlob, "0123456789");
  auto shorter = f.read(8, 4);
  REQUIRE_FALSE(shorter);
  CHECK(shorter.error().message == path + ": ends at byte 10; wanted 4 bytes at 8");

  unlink(path.c_str());
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  CHECK(f.read(0, 1).error().message == path + ": not a regular file");
  unlink(path.c_str());
  REQUIRE(mkdir(path.c_str(), 0700) == 0);
  CHECK(f.read(0, 1).error().message == path + ": not a regular file");
  CHECK(f.counters.failures == 4);
}

TEST_CASE("localfs: the folder changes under the daemon: each read sees the file as it is then") {
  Fixture f;
  std::string path = f.scratch.path() + "/" + kBlob;
  f.put(kBlob, "0123456789");
  CHECK(*f.read(0, 10) == "0123456789");
  REQUIRE(truncate(path.c_str(), 3) == 0);
  CHECK(f.read(5, 5).error().message == path + ": ends at byte 3; wanted 5 bytes at 5");
  unlink(path.c_str());
  CHECK(f.read(0, 10).error().code == Code::not_found);
  f.put("new", "abcdefghij");
  REQUIRE(rename((f.scratch.path() + "/new").c_str(), path.c_str()) == 0);
  CHECK(*f.read(0, 10) == "abcdefghij");
}

TEST_CASE("localfs: a file we may not read") {
  if (geteuid() != 0) return;  // as root: becomes somebody else for the while
  Fixture f;
  f.put(kBlob, "0123456789");
  REQUIRE(chmod(f.scratch.path().c_str(), 0755) == 0);
  REQUIRE(chmod((f.scratch.path() + "/" + kBlob).c_str(), 0600) == 0);
  REQUIRE(seteuid(65534) == 0);
  auto refused = f.read(0, 10);
  REQUIRE(seteuid(0) == 0);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().sys_errno == EACCES);
  CHECK(refused.error().message == f.scratch.path() + "/" + kBlob + ": Permission denied");
  CHECK(*f.read(0, 10) == "0123456789");
}

TEST_CASE("localfs: EIO of the disk, short and interrupted reads") {
  Fixture f;
  f.put(kBlob, "0123456789");
  std::vector<int32_t> results = {-EINTR, 4, -EAGAIN, 1};
  f.loop->fault = [&](FaultyLoop::Operation) -> std::optional<int32_t> {
    if (results.empty()) return std::nullopt;
    int32_t next = results.front();
    results.erase(results.begin());
    return next;
  };
  CHECK(*f.read(0, 10) == "0123456789");
  for (std::vector<int32_t> then : {std::vector<int32_t>{-EIO}, {4, -EIO}}) {
    results = then;
    auto broken = f.read(1, 9);
    REQUIRE_FALSE(broken);
    CHECK(broken.error().sys_errno == EIO);
    CHECK(broken.error().message == f.scratch.path() + "/" + kBlob + ": 9 bytes at 1: Input/output error");
    CHECK(*f.read(1, 9) == "123456789");
  }
}

TEST_CASE("localfs: only a blob's id is a name") {
  Fixture f;
  f.put("secret", "x");
  for (const std::string& id : {std::string("secret"), std::string("../secret"), std::string(64, 'A'),
                                std::string(64, '/'), std::string(63, 'a'), std::string()}) {
    INFO(id);
    CHECK(f.read(0, 1, id).error().code == Code::invalid_argument);
  }
}

TEST_CASE("localfs: a cancelled read still tells") {
  Fixture f;
  f.put(kBlob, "0123456789");
  std::vector<uint8_t> bytes(10);
  std::optional<Code> code;
  auto id = f.storage->read(kBlob, 0, bytes, [&](Result<void> result) {
    if (!result) code = result.error().code;
    f.loop->stop();
  });
  f.storage->cancel(id);
  REQUIRE(f.loop->run());
  CHECK(code == Code::cancelled);
}

TEST_CASE("localfs: gone while a read is under way") {
  Fixture f;
  f.put(kBlob, "0123456789");
  std::vector<uint8_t> bytes(10);
  bool ran = false;
  f.storage->read(kBlob, 0, bytes, [&](Result<void>) { ran = true; });
  f.storage->read(std::string(64, 'b'), 0, bytes, [&](Result<void>) { ran = true; });
  f.storage.reset();
  f.loop->after_ms(5, [&](int32_t) { f.loop->stop(); });
  REQUIRE(f.loop->run());
  CHECK_FALSE(ran);
}
