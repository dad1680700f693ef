#include "erofs-format/blob/stream_writer.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "erofs-format/base/os.h"

using namespace erofs_format;

namespace {

struct Pipe {
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    out.reset(fds[0]);
    in.reset(fds[1]);
  }
  os::UniqueFd out;
  os::UniqueFd in;
};

Buffer read_all(int fd) {
  Buffer all;
  Buffer piece(1 << 16);
  for (;;) {
    auto n = os::read_some(fd, piece, "pipe");
    REQUIRE(n);
    if (*n == 0) return all;
    all.insert(all.end(), piece.begin(), piece.begin() + static_cast<long>(*n));
  }
}

TEST_CASE("pieces of any size arrive in order, with their SHA-256") {
  uint32_t seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Pipe pipe;
  Buffer got;
  std::thread reader([&] { got = read_all(pipe.out.get()); });
  Buffer wanted;
  Digest digest;
  {
    StreamWriter writer(pipe.in.get(), "pipe");
    for (int i = 0; i < 300; i++) {
      // Some are larger than what the writer gathers, most far smaller.
      Buffer piece(random() % (i % 50 == 0 ? 3000000 : 5000));
      for (auto& byte : piece) byte = static_cast<uint8_t>(random());
      wanted.insert(wanted.end(), piece.begin(), piece.end());
      CHECK(writer.write(piece));
      if (i % 97 == 0) CHECK(writer.drain());
    }
    CHECK(writer.drain());
    digest = writer.digest();
  }
  pipe.in.reset();
  reader.join();
  CHECK(got == wanted);
  Sha256 expected;
  expected.update(wanted);
  CHECK(digest == expected.digest());
}

TEST_CASE("a failed write is an error of what follows it, and it stays one") {
  os::UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full.valid());
  StreamWriter writer(full.get(), "the blob");
  Buffer bytes(1 << 20);
  // The first ones are only handed over; they cannot all be.
  Result<void> result;
  for (int i = 0; i < 100 && result; i++) result = writer.write(bytes);
  REQUIRE(!result);
  CHECK(result.error().message == "the blob: No space left on device");
  CHECK(!writer.drain());
  CHECK(!writer.write(bytes));
}

TEST_CASE("a write that fails with the last bytes is seen by drain") {
  os::UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full.valid());
  StreamWriter writer(full.get(), "the blob");
  CHECK(writer.write(as_bytes("a few")));
  CHECK(!writer.drain());
}

TEST_CASE("a writer that is not drained ends while its reader does not read") {
  Pipe pipe;
  ::fcntl(pipe.in.get(), F_SETPIPE_SZ, 4096);
  {
    StreamWriter writer(pipe.in.get(), "pipe");
    CHECK(writer.write(as_bytes("unwritten")));
  }
  pipe.in.reset();
  CHECK(read_all(pipe.out.get()).empty());
}

}  // namespace
