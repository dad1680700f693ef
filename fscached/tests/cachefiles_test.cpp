// The backend against a fake device: one end of a socket pair, whose messages keep their borders.
#include "fscached/kernel/cachefiles.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fscached/tests/cachefiles_records.h"
#include "fscached/tests/completed_reads.h"
#include "fscached/tests/recorder.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/small_blob.h"

using namespace fscached;

namespace {

const KernelName kImage = {1, "image", "domain"};
const std::string kVolume = "erofs,domain";

// Works in a folder of its own, as the worker does in its root.
struct World {
  World() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    kernel = os::UniqueFd(ends[0]);
    device = os::UniqueFd(ends[1]);
    REQUIRE(home.valid());
    REQUIRE(chdir(scratch.path().c_str()) == 0);
    loop = std::move(*Loop::create(16));
    backend = std::move(*CachefilesBackend::create(device.get()));
    backend->restore(*loop, sink, {});
    backend->attach(kImage, *layout_of(Buffer(kChunks * kStep)), [&](Result<AttachedFile> attached) {
      REQUIRE(attached);
      blob = *attached;
    });
  }
  ~World() { CHECK(fchdir(home.get()) == 0); }

  // Its number in this process is what the kernel would have put into the message.
  int new_descriptor() const {
    std::string path = scratch.path() + "/anonymous";
    int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(ftruncate(fd, kChunks * kStep) == 0);
    return fd;
  }
  void send(const Buffer& message) const {
    REQUIRE(::send(kernel.get(), message.data(), message.size(), 0) == static_cast<ssize_t>(message.size()));
  }
  int send_open(uint32_t id, uint32_t object, const std::string& cookie) const {
    int fd = new_descriptor();
    send(open_message(id, object, fd, kVolume, cookie));
    return fd;
  }
  // The answer to an offer; none as long as the backend works on it.
  using Answer = std::shared_ptr<std::optional<Result<void>>>;
  Answer offer(const KernelName& image) const {
    auto answer = std::make_shared<std::optional<Result<void>>>();
    backend->offer(image, [answer](Result<void> done) { answer->emplace(std::move(done)); });
    return answer;
  }
  // Lets the backend read what was sent.
  void run() {
    loop->after_ms(20, [this](int32_t) { loop->stop(); });
    REQUIRE(loop->run());
  }
  std::vector<std::string> commands() const {
    std::vector<std::string> all;
    char line[256];
    for (ssize_t size; (size = recv(kernel.get(), line, sizeof(line), 0)) > 0;)
      all.emplace_back(line, static_cast<size_t>(size));
    return all;
  }

  Scratch scratch;
  os::UniqueFd home{open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  os::UniqueFd kernel, device;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<CachefilesBackend> backend;
  Recorder sink;  // ends first: its tickets are answered through the backend
  AttachedFile blob;
};

using Commands = std::vector<std::string>;

bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

std::string blob_cookie() { return some_blob().id; }

}  // namespace

TEST_CASE("cachefiles: a file nobody knows is refused and its descriptor closed") {
  World world;
  int fd = world.send_open(3, 1, "stranger");
  world.backend->start();
  CHECK(world.commands() == Commands{"restore", "copen 3,-2"});
  CHECK_FALSE(is_open(fd));
}

TEST_CASE("cachefiles: an opened file has its size, and no child inherits it") {
  World world;
  int fd = world.send_open(0, 1, blob_cookie());
  world.backend->start();
  CHECK(world.commands() == Commands{"restore", "copen 0,65536"});
  CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("cachefiles: a read becomes one request, completed once, also when nobody can serve it") {
  World world;
  world.send_open(0, 1, blob_cookie());
  world.send(read_message(1, 1, 8192, 4096));
  world.send(read_message(2, 1, 0, 16384));
  world.backend->start();
  REQUIRE(world.sink.requests.size() == 2);
  CHECK(world.sink.requests[0].object == world.blob.id);
  CHECK(world.sink.requests[0].offset == 8192);
  CHECK(world.sink.requests[0].count == 4096);
  CHECK(world.backend->pending() == 2);
  world.sink.tickets[0].allow();
  world.sink.tickets[0].allow();
  world.sink.tickets.clear();
  CHECK(world.backend->pending() == 0);
  CHECK(world.backend->counters().allowed == 1);
  CHECK(world.backend->counters().denied == 1);
  os::UniqueFd written(world.new_descriptor());
  auto data = data_extents(written.get(), {0, kChunks * kStep});
  REQUIRE(data);
  CHECK(data->empty());
}

TEST_CASE("cachefiles: a read of an opening that is not known asks nobody") {
  World world;
  world.send_open(0, 1, blob_cookie());
  world.send(read_message(1, 2, 0, 4096));
  world.backend->start();
  CHECK(world.sink.requests.empty());
  CHECK(world.backend->pending() == 0);
}

TEST_CASE("cachefiles: a file is closed while its readers wait; their answers harm nothing") {
  World world;
  int fd = world.send_open(0, 1, blob_cookie());
  world.send(read_message(1, 1, 0, 4096));
  world.backend->start();
  world.send(close_message(2, 1));
  world.run();
  CHECK_FALSE(is_open(fd));
  world.sink.tickets.clear();
  CHECK(world.backend->pending() == 0);
  CHECK(world.commands() == Commands{"restore", "copen 0,65536"});
}

TEST_CASE("cachefiles: a number that comes again belongs to the reader it came for last") {
  World world;
  world.send_open(0, 1, blob_cookie());
  world.send(read_message(1, 1, 8192, 4096));
  world.send(close_message(2, 1));
  world.send_open(0, 2, blob_cookie());
  world.send(read_message(1, 2, 0, 4096));
  world.backend->start();
  REQUIRE(world.sink.requests.size() == 2);
  std::vector<uint32_t> completed;
  CompletedReads told([&](int, uint32_t request) {
    completed.push_back(request);
    return 0;
  });
  world.sink.tickets[0].fail();  // the first one's reader went with its file
  CHECK(completed.empty());
  world.sink.tickets[1].allow();
  CHECK(completed == std::vector<uint32_t>{1});
  CHECK(world.backend->pending() == 0);
}

TEST_CASE("cachefiles: opened again it has another descriptor, and the old number means nothing") {
  World world;
  int first = world.send_open(0, 1, blob_cookie());
  world.backend->start();
  int second = world.send_open(5, 2, blob_cookie());
  world.run();
  CHECK_FALSE(is_open(first));
  CHECK(is_open(second));
  world.send(read_message(6, 1, 0, 4096));
  world.send(read_message(7, 2, 4096, 4096));
  world.run();
  REQUIRE(world.sink.requests.size() == 1);
  CHECK(world.sink.requests[0].offset == 4096);
  // A late close of the first opening leaves the second alone.
  world.send(close_message(8, 1));
  world.run();
  CHECK(is_open(second));
}

TEST_CASE("cachefiles: what is no message is passed over, and what comes after it is served") {
  World world;
  world.send_open(0, 1, blob_cookie());
  Buffer damaged = read_message(1, 1, 0, 4096);
  damaged.resize(damaged.size() - 1);
  world.send(damaged);
  world.send(read_message(2, 1, 4096, 4096));
  world.backend->start();
  REQUIRE(world.sink.requests.size() == 1);
  CHECK(world.sink.requests[0].offset == 4096);
}

TEST_CASE("cachefiles: only names the kernel bears are taken, and none that a blob has") {
  World world;
  world.backend->start();
  auto is_refused = [&](const std::string& fsid, const std::string& domain) {
    World::Answer answer = world.offer({2, fsid, domain});
    return *answer && !**answer;
  };
  CHECK(is_refused(std::string(241, 'x'), "domain"));
  CHECK(is_refused("image", std::string(241, 'x')));
  CHECK(is_refused("a,b", ""));
  CHECK(is_refused(blob_cookie(), "domain"));
}

TEST_CASE("cachefiles: a name is taken from the moment it is offered until it is withdrawn") {
  World world;
  REQUIRE(os::make_directories("mounts/2", 0700));
  REQUIRE(os::publish_file("mounts/2/image.boot", Buffer(kStep), 0600));
  world.backend->start();
  const std::string fsid(30, 'n');
  World::Answer first = world.offer({2, fsid, "domain"});
  CHECK_FALSE(*first);
  // Both are asked before the first one's old file is known to be gone; the kernel does not tell apart what
  // differs only after 36 characters.
  for (const std::string& same : {fsid, fsid + "-other"}) {
    World::Answer second = world.offer({2, same, "domain"});
    REQUIRE(*second);
    CHECK_FALSE(**second);
  }
  world.run();
  REQUIRE(*first);
  CHECK(**first);
  world.backend->withdraw({2, fsid, "domain"});
  World::Answer again = world.offer({2, fsid, "domain"});
  world.run();
  REQUIRE(*again);
  CHECK(**again);
  world.send_open(9, 4, fsid);
  world.run();
  CHECK(world.commands() == Commands{"restore", "copen 9,8192"});
}
