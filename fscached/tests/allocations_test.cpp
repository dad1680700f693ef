// P10: a read of what is there costs no memory: event, journal, lookup, answer.
#include "fscached/tests/allocations.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "fscached/kernel/fanotify.h"
#include "fscached/object/blob_object.h"
#include "fscached/tests/fake_kernel.h"
#include "fscached/tests/fanotify_records.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/small_blob.h"

using namespace fscached;

namespace {

constexpr unsigned kBatch = 20;  // events the kernel has at once
constexpr int kFirstNumber = 600;

struct World final : KernelSink {
  World() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    kernel = os::UniqueFd(ends[0]);
    group = os::UniqueFd(ends[1]);
    data = std::move(*os::open(scratch.path() + "/data", O_RDWR | O_CREAT, 0600));
    REQUIRE(ftruncate(data.get(), kChunks * kStep) == 0);
    backend =
        std::move(*FanotifyBackend::create(group.get(), std::move(*Journal::map(memory.get())), keeper));
    std::vector<keeper::Received> files(1);
    struct stat status = *os::stat_of(data.get(), "data");
    files[0].message.id = 1;
    files[0].message.device = status.st_dev;
    files[0].message.inode = status.st_ino;
    some_blob().id.copy(files[0].message.blob, keeper::kBlobIdLength);
    files[0].descriptor = os::UniqueFd(fcntl(data.get(), F_DUPFD_CLOEXEC, 0));
    backend->restore(*loop, *this, std::move(files));
    backend->attach({}, layout, [this](Result<AttachedFile> attached) {
      attached->presence_path = scratch.path() + "/presence";
      attached->presence = everything();
      object = std::make_shared<BlobObject>(environment, std::move(*attached), layout);
    });
    backend->start();
  }
  Presence everything() const {
    Presence presence;
    presence.clean = true;
    presence.file_size = layout->file_size();
    for (uint32_t chunk = 0; chunk < kChunks; chunk++)
      presence.chunks.push_back({chunk, layout->digest(chunk)});
    return presence;
  }
  void on_request(const KernelRequest& request, Ticket ticket) override {
    object->on_request(request, std::move(ticket));
    if (++served % kBatch == 0) loop->stop();
  }
  void on_kept(ObjectId, Extent, const std::vector<Extent>&) override {}
  void on_released(ObjectId) override {}

  // The allocations it takes to answer a batch.
  uint64_t answer_batch() {
    Buffer records;
    for (unsigned i = 0; i < kBatch; i++) {
      int number = fcntl(data.get(), F_DUPFD_CLOEXEC, kFirstNumber);
      append(records, event_record({number, (served + i) % kChunks * kStep, kStep}));
    }
    REQUIRE(send(kernel.get(), records.data(), records.size(), 0) == static_cast<ssize_t>(records.size()));
    uint64_t before = allocations();
    bool ran = bool(loop->run());
    uint64_t taken = allocations() - before;
    REQUIRE(ran);
    abi::Response response = {};
    for (unsigned i = 0; i < kBatch; i++) {
      REQUIRE(recv(kernel.get(), &response, sizeof(response), 0) == sizeof(response));
      REQUIRE(response.response == FAN_ALLOW);
    }
    return taken;
  }

  Scratch scratch;
  os::UniqueFd kernel, group, data;
  os::UniqueFd memory = std::move(*keeper::create_journal_memory());
  std::unique_ptr<Loop> loop = std::move(*Loop::create(16));
  KeeperLink keeper{-1};
  DecodePool pool{*loop, 0};
  FetchMemory fetch_memory{1 << 20};
  ObjectCounters counters;
  ObjectEnvironment environment{*loop, pool, fetch_memory, counters, 60'000};
  std::shared_ptr<const BlobLayout> layout = *layout_of(content());
  std::unique_ptr<FanotifyBackend> backend;
  std::shared_ptr<BlobObject> object;
  uint64_t served = 0;
  FakeKernel answers;
};

}  // namespace

TEST_CASE("allocations: reads of what is there take none, however many") {
  World world;
  REQUIRE(world.object->is_complete());
  for (int i = 0; i < 10; i++) world.answer_batch();
  uint64_t taken = 0;
  for (int i = 0; i < 500; i++) taken += world.answer_batch();
  CHECK(taken == 0);
  CHECK(world.counters.hits == world.served);
  CHECK(world.served == 510 * kBatch);
  // What is not there does take some.
  uint64_t before = allocations();
  world.object->on_kept({0, kStep}, {});
  world.object->on_request({1, 0, kStep, 0}, Ticket(world.answers, 1));
  CHECK(allocations() > before);
}

TEST_CASE("allocations: each is counted, and one can be made to fail") {
  uint64_t before = allocations();
  auto value = std::make_unique<std::string>(100, 'x');
  CHECK(allocations() == before + 2);
  bool told = false, refused = false;
  FailingAllocation third(3, [&] { told = true; });
  std::vector<std::unique_ptr<int>> kept(2);
  try {
    for (auto& one : kept) one = std::make_unique<int>(1);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  CHECK(told);
  CHECK(refused);
  CHECK(kept[0]);
  CHECK_FALSE(kept[1]);
}
