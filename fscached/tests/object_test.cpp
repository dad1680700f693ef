// A blob in the cache with a fake kernel and a fake storage, on a real loop and a real file.
#include "fscached/object/blob_object.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "fscached/tests/fake_kernel.h"
#include "fscached/tests/faulty_loop.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/small_blob.h"

using namespace fscached;

namespace {

struct World {
  World() {
    storage = std::make_shared<FakeStorage>(*loop, blob);
    make(0xff);
  }
  // `known` and `count`: as layout_of() takes them.
  void make(uint32_t known, std::optional<Presence> presence = {}, uint32_t count = kChunks) {
    AttachedFile file = {1, std::make_shared<FakeFile>(*loop, path("data"), kChunks * kStep, watched),
                         path("presence"), std::move(presence)};
    ObjectEnvironment environment = {*loop, *pool, memory, counters, request_timeout_ms};
    object = std::make_shared<BlobObject>(environment, std::move(file), *layout_of(blob, known, count));
    object->add_source(storage);
  }
  std::string path(const std::string& name) const { return scratch.path() + "/" + name; }
  void request(uint32_t slot, uint64_t offset, uint64_t count) {
    object->on_request({1, offset, count, 0}, Ticket(kernel, slot));
  }
  // Lets everything under way end.
  void settle() {
    loop->after_ms(50, [this](int32_t) { loop->stop(); });
    REQUIRE(loop->run());
  }
  template <typename Condition>
  void run_until(Condition condition) {
    for (int i = 0; i < 10'000 && !condition(); i++) {
      loop->after_ms(1, [this](int32_t) { loop->stop(); });
      REQUIRE(loop->run());
    }
    REQUIRE(condition());
  }
  bool answered(uint32_t slot) { return !kernel.answers[slot].empty(); }
  Buffer data(uint32_t chunk) {
    Buffer bytes(kStep);
    os::UniqueFd file(open(path("data").c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(os::pread_exact(file.get(), chunk * kStep, bytes, "data"));
    return bytes;
  }
  Presence saved() {
    auto read = decode_presence(*os::read_file(path("presence"), 1 << 20), "presence");
    REQUIRE(read);
    return *read;
  }

  Scratch scratch;
  Buffer blob = content();
  std::unique_ptr<FaultyLoop> loop = std::make_unique<FaultyLoop>(std::move(*Loop::create(16)));
  std::unique_ptr<DecodePool> pool = std::make_unique<DecodePool>(*loop, 2);
  FetchMemory memory{1 << 20};
  ObjectCounters counters;
  uint64_t request_timeout_ms = 60'000;
  std::vector<bool> watched;
  FakeKernel kernel;
  std::shared_ptr<FakeStorage> storage;
  std::shared_ptr<BlobObject> object;
};

using Answers = std::vector<int>;

}  // namespace

TEST_CASE(
    "object: a missing range is fetched once, in one request, written with zeros behind it, then answered") {
  World world;
  world.storage->held = true;
  world.request(1, 0, 3 * kStep);
  world.request(2, kStep, 4096);  // joins
  world.settle();
  CHECK_FALSE(world.answered(1));
  world.storage->let_go();
  world.run_until([&] { return world.answered(1) && world.answered(2); });
  CHECK(world.kernel.answers[1] == Answers{0});
  CHECK(world.kernel.answers[2] == Answers{0});
  CHECK(world.storage->reads == std::vector<std::pair<uint64_t, uint64_t>>{{0, 3 * kSize}});
  Buffer bytes = world.data(1);
  CHECK(std::equal(bytes.begin(), bytes.begin() + kSize, chunk_of(world.blob, 1).begin()));
  CHECK(std::all_of(bytes.begin() + kSize, bytes.end(), [](uint8_t byte) { return byte == 0; }));
  world.request(3, 2 * kStep, 4096);  // at once
  CHECK(world.kernel.answers[3] == Answers{0});
  CHECK(world.memory.used() == 0);
}

TEST_CASE("object: bad bytes are EIO, nothing is written, the next read tries again") {
  World world;
  world.storage->lies = true;
  world.request(1, 0, 4096);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{EIO});
  Buffer bytes = world.data(0);
  CHECK(std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; }));
  CHECK(world.object->present_chunks() == 0);
  world.storage->lies = false;
  world.storage->fails = true;
  world.request(2, 0, 4096);
  world.run_until([&] { return world.answered(2); });
  CHECK(world.kernel.answers[2] == Answers{EIO});
  world.storage->fails = false;
  world.request(3, 0, 4096);
  world.run_until([&] { return world.answered(3); });
  CHECK(world.kernel.answers[3] == Answers{0});
  CHECK(world.memory.used() == 0);
}

TEST_CASE("object: another source is tried before a reader sees an error") {
  World world;
  world.storage->lies = true;
  auto good = std::make_shared<FakeStorage>(*world.loop, world.blob);
  world.object->add_source(good);
  world.request(1, 0, 4096);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{0});
  CHECK(good->reads.size() == 1);
}

TEST_CASE("object: sources that all prove wrong are asked once each by one request") {
  World world;
  auto other = std::make_shared<FakeStorage>(*world.loop, world.blob);
  world.object->add_source(other);
  world.storage->lies = other->lies = true;
  world.request(1, 0, kStep);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{EIO});
  CHECK(world.storage->reads.size() == 1);
  CHECK(other->reads.size() == 1);
}

TEST_CASE("object: a reader waits no longer than its deadline, and what it waited for serves the next one") {
  World world;
  world.request_timeout_ms = 30;
  world.make(0xff);
  world.storage->held = true;
  world.request(1, 0, 2 * kStep);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{EIO});
  CHECK(world.counters.timeouts == 1);
  world.storage->let_go();
  world.run_until([&] { return world.object->present_chunks() == 2; });
  world.request(2, kStep, 4096);
  CHECK(world.kernel.answers[2] == Answers{0});
  CHECK(world.kernel.answers[1] == Answers{EIO});  // answered once
  CHECK(world.storage->reads.size() == 1);
  CHECK(world.counters.timeouts == 1);
  CHECK(world.memory.used() == 0);
}

TEST_CASE("object: a source that stalls leaves memory to others") {
  World world;
  world.storage->held = true;
  int stalled = 0;
  for (int i = 0; i < 64; i++) world.memory.acquire(&stalled, 100 << 10, Urgency::reader, [] {});
  CHECK(world.memory.waiting() > 0);
  world.request(1, 0, kStep);
  world.settle();
  CHECK(world.storage->reads.size() == 1);
  world.storage->let_go();
  world.run_until([&] { return world.answered(1); });
}

TEST_CASE("object: when everything is there presence is saved, then the kernel need not ask any more") {
  World world;
  bool finished = false;
  world.object->complete(0, [&](Result<void> result) { finished = static_cast<bool>(result); });
  world.run_until([&] { return finished && !world.watched.empty(); });
  CHECK(world.watched == std::vector<bool>{false});
  Presence presence = world.saved();
  CHECK_FALSE(presence.clean);
  CHECK(presence.chunks.size() == kChunks);
}

TEST_CASE("object: after a clean stop presence is believed, after an unclean one it is hashed first") {
  for (bool clean : {true, false}) {
    World world;
    bool saved = false;
    world.object->complete(
        0, [&](Result<void>) { world.object->save(clean, [&](Result<void> r) { saved = bool(r); }); });
    world.run_until([&] { return saved; });
    // Rot: one bit of chunk 2.
    os::UniqueFd file(open(world.path("data").c_str(), O_RDWR | O_CLOEXEC));
    uint8_t byte = world.data(2)[100] ^ 1;
    REQUIRE(os::pwrite_all(file.get(), 2 * kStep + 100, ByteView(&byte, 1), "data"));
    world.make(0xff, world.saved());
    size_t reads = world.storage->reads.size();
    CHECK(world.object->is_complete() == clean);
    if (clean) continue;
    world.request(1, 0, kChunks * kStep);
    world.run_until([&] { return world.answered(1); });
    CHECK(world.kernel.answers[1] == Answers{0});
    CHECK(world.storage->reads.size() == reads + 1);  // chunk 2 alone
    CHECK(world.storage->reads.back().first == 2 * kSize);
    CHECK(world.counters.chunks_rehashed == kChunks - 1);
    CHECK(world.data(2)[100] == chunk_of(world.blob, 2)[100]);
  }
}

TEST_CASE("object: what lies behind a chunk in its last page is right or fetched again, too") {
  World world;
  bool saved = false;
  world.object->complete(
      0, [&](Result<void>) { world.object->save(false, [&](Result<void> r) { saved = bool(r); }); });
  world.run_until([&] { return saved; });
  os::UniqueFd file(open(world.path("data").c_str(), O_RDWR | O_CLOEXEC));
  uint8_t byte = 1;
  REQUIRE(os::pwrite_all(file.get(), 2 * kStep + kSize, ByteView(&byte, 1), "data"));
  world.make(0xff, world.saved());
  world.request(1, 2 * kStep, kStep);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{0});
  CHECK(world.data(2)[kSize] == 0);
}

TEST_CASE(
    "object: what is clean on the disk is unclean before anything is written, also when that fails at "
    "first") {
  World world;
  bool saved = false;
  world.request(1, 0, kStep);
  world.run_until([&] { return world.answered(1); });
  world.object->save(true, [&](Result<void> result) { saved = bool(result); });
  world.run_until([&] { return saved; });
  CHECK(world.saved().clean);
  world.make(0xff, world.saved());
  int writes = 0;
  bool refuse = true;
  world.loop->fault = [&](FaultyLoop::Operation operation) -> std::optional<int32_t> {
    if (operation == FaultyLoop::Operation::write) {
      writes++;
      CHECK_FALSE(world.saved().clean);
    }
    return operation == FaultyLoop::Operation::sync && refuse ? std::optional(-EIO) : std::nullopt;
  };
  world.request(2, kStep, 2 * kStep);
  world.run_until([&] { return world.answered(2); });
  CHECK(world.kernel.answers[2] == Answers{EIO});
  CHECK(writes == 0);
  refuse = false;
  world.request(3, 0, 3 * kStep);
  world.run_until([&] { return world.answered(3); });
  CHECK(world.kernel.answers[3] == Answers{0});
  CHECK(writes == 2);
  world.make(0xff, world.saved());
  CHECK_FALSE(world.saved().clean);
}

TEST_CASE("object: a blob that is used is unclean on the disk, also when nothing is written") {
  World world;
  bool saved = false;
  world.object->complete(
      0, [&](Result<void>) { world.object->save(true, [&](Result<void> r) { saved = bool(r); }); });
  world.run_until([&] { return saved; });
  world.make(0xff, world.saved());
  CHECK(world.object->is_complete());  // trusted this time
  world.object->begin();
  world.run_until([&] { return !world.saved().clean; });
}

TEST_CASE("object: presence is believed only for the digests it was written for") {
  World world;
  bool saved = false;
  world.object->complete(
      0, [&](Result<void>) { world.object->save(true, [&](Result<void> r) { saved = bool(r); }); });
  world.run_until([&] { return saved; });
  Presence presence = world.saved();
  presence.chunks[3].digest = sha256(as_bytes("another image's idea of chunk 3"));
  world.make(0xff, presence);
  CHECK(world.object->present_chunks() == kChunks - 1);
}

TEST_CASE("object: what other images know is remembered, also beyond the chunks this one has a table of") {
  World world;
  auto stop = [&world] {
    bool saved = false;
    world.object->save(true, [&](Result<void> result) { saved = bool(result); });
    world.run_until([&] { return saved; });
  };
  bool complete = false;
  world.object->complete(0, [&](Result<void> result) { complete = bool(result); });
  world.run_until([&] { return complete; });
  stop();
  world.make(0x07, load_presence(world.path("presence")), 3);
  CHECK(world.object->is_complete());
  stop();
  size_t reads = world.storage->reads.size();
  world.make(0xff, load_presence(world.path("presence")));
  world.request(1, 0, kChunks * kStep);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{0});
  CHECK(world.storage->reads.size() == reads);
}

TEST_CASE("object: what the kernel says it kept decides over what was believed") {
  World world;
  bool finished = false;
  world.object->complete(0, [&](Result<void> result) { finished = static_cast<bool>(result); });
  world.run_until([&] { return finished; });
  // A hole in chunk 1, and the first half of chunk 2.
  world.object->on_kept({0, 3 * kStep}, {{0, kStep + 4096}, {2 * kStep + 4096, 4096}});
  CHECK(world.object->present_chunks() == kChunks - 2);
  size_t reads = world.storage->reads.size();
  world.request(1, kStep, 4096);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{0});
  CHECK(world.storage->reads.size() == reads + 1);
  // Only a part of a chunk was looked at: nothing is said of the rest.
  world.object->on_kept({3 * kStep, 4096}, {{3 * kStep, 4096}});
  CHECK(world.object->present_chunks() == kChunks - 1);
}

TEST_CASE("object: what a dead worker left is hashed, not fetched") {
  World world;
  bool finished = false;
  world.object->complete(0, [&](Result<void> result) { finished = static_cast<bool>(result); });
  world.run_until([&] { return finished; });
  size_t reads = world.storage->reads.size();
  world.make(0xff);
  world.object->on_kept({0, kChunks * kStep}, {{0, 4 * kStep}});
  CHECK(world.object->present_chunks() == 0);
  world.request(1, 0, 4 * kStep);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{0});
  CHECK(world.object->present_chunks() == 4);
  CHECK(world.storage->reads.size() == reads);
}

TEST_CASE("object: a second image adds chunks, and one that contradicts is refused") {
  World world;
  world.make(0x0f);
  CHECK(world.object->known_chunks() == 4);
  REQUIRE(world.object->learn(**layout_of(world.blob, 0xf3)));
  CHECK(world.object->known_chunks() == 8);
  world.request(1, 7 * kStep, 4096);
  world.run_until([&] { return world.answered(1); });
  CHECK(world.kernel.answers[1] == Answers{0});
  Buffer other = world.blob;
  other[0] ^= 1;
  auto refused = world.object->learn(**layout_of(other));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("chunk 0") != std::string::npos);
}

TEST_CASE("layout: chunks that overlap or leave the file are refused") {
  Buffer blob = content();
  auto with = [&](uint32_t index, uint64_t offset, uint32_t size) {
    ChunkTable table = (*layout_of(blob))->table();
    table.chunks[index].uncompressed_offset = offset;
    table.chunks[index].uncompressed_size = size;
    return static_cast<bool>(BlobLayout::create(some_blob(), table, (*layout_of(blob))->digests()));
  };
  CHECK(with(7, 7 * kStep, kSize));
  CHECK_FALSE(with(7, 6 * kStep, kSize));
  CHECK_FALSE(with(7, 6 * kStep + 4096, kSize));
  CHECK_FALSE(with(7, 8 * kStep, kSize));
  CHECK_FALSE(with(7, 7 * kStep + 512, kSize));
  CHECK_FALSE(with(7, UINT64_MAX - 4095, kSize));
  CHECK_FALSE(with(7, 7 * kStep, 0));
  CHECK_FALSE(with(7, 7 * kStep, 3 * 4096));
}

TEST_CASE("layout: chunks of a range") {
  auto layout = *layout_of(content());
  auto in = [&](uint64_t offset, uint64_t count) {
    auto chunks = layout->chunks_in(offset, count);
    return std::vector<uint32_t>(chunks.begin(), chunks.end());
  };
  CHECK(in(0, 4096) == std::vector<uint32_t>{0});
  CHECK(in(0, kStep) == std::vector<uint32_t>{0});
  CHECK(in(kStep - 1, 2) == std::vector<uint32_t>{0, 1});
  CHECK(in(3 * kStep, 0).empty());
  CHECK(in(0, UINT64_MAX).size() == kChunks);
  CHECK(in(4096, UINT64_MAX).size() == kChunks);
  CHECK(in(kChunks * kStep, 4096).empty());
}

namespace {

struct DiskFault {
  int32_t result;
  bool persistent;
};

// Reads every chunk, and saves, while the n-th write or sync and, if persistent, all behind it fail. Whether
// it came to that.
bool survive(World& world, const DiskFault& disk, int n) {
  int operations = 0;
  bool hit = false;
  world.loop->fault = [&](FaultyLoop::Operation operation) -> std::optional<int32_t> {
    if (operation == FaultyLoop::Operation::read) return std::nullopt;
    operations++;
    if (disk.persistent ? operations < n : operations != n) return std::nullopt;
    if (disk.result > 0 && operation == FaultyLoop::Operation::sync) return std::nullopt;
    hit = true;
    return disk.result;
  };
  for (uint32_t chunk = 0; chunk < kChunks; chunk++) world.request(chunk + 1, chunk * kStep, kStep);
  bool saved = false;
  world.run_until([&] { return world.object->present_chunks() == kChunks || world.memory.used() == 0; });
  world.object->save(true, [&](Result<void>) { saved = true; });
  world.run_until([&] { return saved; });
  for (uint32_t chunk = 0; chunk < kChunks; chunk++) {
    REQUIRE(world.kernel.answers[chunk + 1].size() == 1);
    int answer = world.kernel.answers[chunk + 1][0];
    ByteView wanted = chunk_of(world.blob, chunk);
    bool right = std::equal(wanted.begin(), wanted.end(), world.data(chunk).begin());
    CHECK((answer == 0 || answer == EIO));
    if (answer == 0) CHECK(right);
  }
  world.loop->fault = [](FaultyLoop::Operation) { return std::nullopt; };
  return hit;
}

// What a start after that believes is true, and the rest can be fetched.
void check_restart(World& world) {
  world.make(0xff, load_presence(world.path("presence")));
  for (uint32_t chunk = 0; chunk < kChunks; chunk++) world.request(100 + chunk, chunk * kStep, kStep);
  world.run_until([&] { return world.object->is_complete(); });
  for (uint32_t chunk = 0; chunk < kChunks; chunk++) {
    CHECK(world.kernel.answers[100 + chunk] == Answers{0});
    Buffer bytes = world.data(chunk);
    CHECK(std::equal(bytes.begin(), bytes.begin() + kSize, chunk_of(world.blob, chunk).begin()));
  }
  world.run_until([&] { return world.memory.used() == 0; });
}

}  // namespace

TEST_CASE("object: what a failed sync may have lost is fetched and written again") {
  World world;
  world.request(1, 0, kStep);
  world.run_until([&] { return world.answered(1); });
  bool saved = false, failed = false;
  world.object->save(false, [&](Result<void> result) { saved = bool(result); });
  world.run_until([&] { return saved; });
  world.request(2, kStep, kStep);
  world.run_until([&] { return world.answered(2); });
  world.loop->fault = [](FaultyLoop::Operation operation) -> std::optional<int32_t> {
    return operation == FaultyLoop::Operation::sync ? std::optional(-EIO) : std::nullopt;
  };
  world.object->save(false, [&](Result<void> result) { failed = !result; });
  world.run_until([&] { return failed; });
  CHECK(world.object->present_chunks() == 1);  // the one a good sync had covered
  world.request(3, 0, 2 * kStep);
  world.run_until([&] { return world.answered(3); });
  CHECK(world.kernel.answers[3] == Answers{0});
  CHECK(world.storage->reads.size() == 3);
  CHECK(world.counters.chunks_written == 3);
}

TEST_CASE(
    "object: each write and sync of the disk fails in turn: right bytes or EIO, and a right cache "
    "afterwards") {
  const DiskFault faults[] = {{-ENOSPC, false}, {-ENOSPC, true}, {-EDQUOT, false}, {-EDQUOT, true},
                              {-EIO, false},    {-EIO, true},    {-EINTR, false},  {-EAGAIN, false},
                              {100, false},     {4096, false},   {4096, true}};
  for (const DiskFault& disk : faults) {
    for (int n = 1;; n++) {
      INFO("result " << disk.result << (disk.persistent ? " from" : " at") << " operation " << n);
      REQUIRE(n < 100);
      World world;
      bool hit = survive(world, disk, n);
      check_restart(world);
      if (!hit) break;
    }
  }
}
