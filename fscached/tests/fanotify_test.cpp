// The backend against a fake kernel: a socket pair stands for the group.
#include "fscached/kernel/fanotify.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "fscached/tests/fanotify_records.h"
#include "fscached/tests/recorder.h"
#include "fscached/tests/scratch.h"

using namespace fscached;

namespace {

// A number high enough to be no descriptor of the test's own.
constexpr int kNumber = 500;

struct World {
  World() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    kernel = os::UniqueFd(ends[0]);
    group = os::UniqueFd(ends[1]);
    auto created = keeper::create_journal_memory();
    REQUIRE(created);
    memory = std::move(*created);
    loop = std::move(*Loop::create(16));
  }
  Journal journal() { return std::move(*Journal::map(memory.get())); }
  std::unique_ptr<FanotifyBackend> backend() {
    auto made = FanotifyBackend::create(group.get(), journal(), keeper);
    REQUIRE(made);
    return std::move(*made);
  }
  // A file the kernel would name by descriptor `number` in an event.
  void open_as(int number, const std::string& name) {
    std::string path = scratch.path() + "/" + name;
    int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(dup3(fd, number, O_CLOEXEC) == number);
    close(fd);
  }
  // The keeper says that a predecessor had attached it.
  void add(ObjectId id, const std::string& name) {
    std::string path = scratch.path() + "/" + name;
    keeper::Received file;
    file.descriptor = os::UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    auto status = os::stat_of(file.descriptor.get(), path);
    REQUIRE(status);
    file.message.id = id;
    file.message.device = status->st_dev;
    file.message.inode = status->st_ino;
    blob_of(id).copy(file.message.blob, keeper::kBlobIdLength);
    attached.push_back(id);
    files.push_back(std::move(file));
  }
  void start(FanotifyBackend& backend) {
    backend.restore(*loop, sink, std::move(files));
    for (ObjectId id : attached) {
      Blob blob;
      blob.id = blob_of(id);
      bool done = false;
      backend.attach({}, *BlobLayout::create(blob, {}, {}), [&](Result<AttachedFile> file) {
        REQUIRE(file);
        CHECK(file->id == id);
        done = true;
      });
      REQUIRE(done);
    }
    backend.start();
  }
  static std::string blob_of(ObjectId id) { return std::string(63, 'a') + static_cast<char>('0' + id); }
  void send(const Buffer& records) {
    REQUIRE(::send(kernel.get(), records.data(), records.size(), 0) == static_cast<ssize_t>(records.size()));
  }
  std::vector<std::pair<int32_t, uint32_t>> answers() {
    std::vector<std::pair<int32_t, uint32_t>> all;
    abi::Response response = {};
    while (recv(kernel.get(), &response, sizeof(response), 0) == sizeof(response))
      all.emplace_back(response.fd, response.response);
    return all;
  }
  Scratch scratch;
  os::UniqueFd kernel, group, memory;
  std::unique_ptr<Loop> loop;
  KeeperLink keeper{-1};
  std::vector<keeper::Received> files;
  std::vector<ObjectId> attached;
  Recorder sink;
};

using Answers = std::vector<std::pair<int32_t, uint32_t>>;

}  // namespace

TEST_CASE("fanotify: an event becomes a request, its answer goes back by number, the descriptor is closed") {
  World world;
  auto backend = world.backend();
  world.add(7, "data");
  world.open_as(kNumber, "data");
  world.send(event_record({kNumber, 8192, 4096}));
  world.start(*backend);
  REQUIRE(world.sink.requests.size() == 1);
  CHECK(world.sink.requests[0].object == 7);
  CHECK(world.sink.requests[0].offset == 8192);
  CHECK(world.answers().empty());
  world.sink.tickets[0].allow();
  CHECK(world.answers() == Answers{{kNumber, FAN_ALLOW}});
  CHECK(fcntl(kNumber, F_GETFD) < 0);
  CHECK(backend->pending() == 0);
}

TEST_CASE("fanotify: a file nobody knows is denied") {
  World world;
  auto backend = world.backend();
  world.open_as(kNumber, "stranger");
  world.send(event_record({kNumber, 0, 4096}));
  world.start(*backend);
  CHECK(world.sink.requests.empty());
  CHECK(world.answers() == Answers{{kNumber, abi::deny_with(EIO)}});
}

TEST_CASE("fanotify: events a dead worker had written down are served again, under their numbers") {
  World world;
  {
    Journal dead = world.journal();
    dead.take(kNumber, 7, 4096, 8192);
    dead.release(dead.take(kNumber + 1, 7, 0, 4096));  // answered: not served again
  }
  auto backend = world.backend();
  CHECK(fcntl(kNumber, F_GETFD) >= 0);  // reserved: no new event can get the number
  world.add(7, "data");
  world.start(*backend);
  REQUIRE(world.sink.requests.size() == 1);
  CHECK(world.sink.requests[0].object == 7);
  CHECK(world.sink.requests[0].offset == 4096);
  world.sink.tickets[0].allow();
  CHECK(world.answers() == Answers{{kNumber, FAN_ALLOW}});
  CHECK(backend->pending() == 0);
}

TEST_CASE("fanotify: an event read but not written down is let go only when every object has the range") {
  for (bool last_fails : {false, true}) {
    World world;
    {
      Journal dead = world.journal();
      Buffer record = event_record({kNumber, 4096, 4096});
      std::copy(record.begin(), record.end(), dead.buffer().begin());
    }
    auto backend = world.backend();
    world.add(1, "one");
    world.add(2, "two");
    world.start(*backend);
    REQUIRE(world.sink.requests.size() == 2);
    CHECK(std::set<ObjectId>{world.sink.requests[0].object, world.sink.requests[1].object} ==
          std::set<ObjectId>{1, 2});
    world.sink.tickets[0].allow();
    CHECK(world.answers().empty());
    last_fails ? world.sink.tickets[1].fail() : world.sink.tickets[1].allow();
    CHECK(world.answers() == Answers{{kNumber, last_fails ? abi::deny_with(EIO) : FAN_ALLOW}});
  }
}

TEST_CASE("fanotify: a record in the buffer and in a slot is one event") {
  World world;
  {
    Journal dead = world.journal();
    Buffer record = event_record({kNumber, 4096, 4096});
    std::copy(record.begin(), record.end(), dead.buffer().begin());
    dead.take(kNumber, 7, 4096, 4096);
  }
  auto backend = world.backend();
  world.add(7, "data");
  world.start(*backend);
  REQUIRE(world.sink.requests.size() == 1);
  CHECK(world.sink.requests[0].object == 7);
  world.sink.tickets.clear();
  CHECK(world.answers() == Answers{{kNumber, abi::deny_with(EIO)}});
}

TEST_CASE("fanotify: a name is taken from the moment it is offered until it is withdrawn") {
  World world;
  auto backend = world.backend();
  auto is_taken = [&](const KernelName& image) {
    bool taken = false;
    backend->offer(image, [&](const Result<void>& offered) { taken = bool(offered); });
    return taken;
  };
  CHECK(is_taken({1, "image", "domain"}));
  CHECK_FALSE(is_taken({2, "image", "domain"}));
  CHECK(is_taken({3, "image", "other"}));
  backend->withdraw({1, "image", "domain"});
  CHECK(is_taken({4, "image", "domain"}));
}

TEST_CASE("journal: the next worker finds what was not released, and a clean buffer") {
  World world;
  {
    Journal journal = world.journal();
    uint32_t slot = journal.take(kNumber, 1, 2, 3);
    journal.take(kNumber + 1, 4, 5, 6);
    journal.release(slot);
    std::fill(journal.buffer().begin(), journal.buffer().end(), uint8_t{0xff});
    journal.clear_buffer(kEventBufferBytes);
  }
  Journal next = world.journal();
  CHECK(next.free_slots() == kMaxPendingEvents - 1);
  CHECK(std::all_of(next.buffer().begin(), next.buffer().end(), [](uint8_t byte) { return byte == 0; }));
}
