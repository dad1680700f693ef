// Power fails at every point of a few lives of a blob in the cache: of what was written and not synced any
// part may be on the disk, of a presence journal being written the old or the new one, of a record being
// added a part. What the next life serves is right.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "fscached/object/blob_object.h"
#include "fscached/tests/fake_kernel.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/small_blob.h"

using namespace fscached;

namespace {

constexpr uint64_t kFileSize = kChunks * kStep;

// What happened to the disk, in order.
struct Event {
  enum class Kind { write, sync, publish } kind;
  uint64_t offset = 0;    // write
  Buffer bytes = {};      // write; publish: the presence file
  size_t sync_began = 0;  // sync: it covers the events before this one
};

// A file in memory that takes down what is done to it.
class RecordedFile final : public CacheFile {
 public:
  RecordedFile(Loop& loop, std::vector<Event>& events, Buffer data)
      : loop_(loop), events_(events), data_(std::move(data)) {}
  void write(uint64_t offset, ByteView pages, Loop::Done done) override {
    loop_.after_ms(0, [this, offset, pages, done = std::move(done)](int32_t) {
      std::copy(pages.begin(), pages.end(), data_.begin() + static_cast<ptrdiff_t>(offset));
      events_.push_back({Event::Kind::write, offset, Buffer(pages.begin(), pages.end())});
      done(static_cast<int32_t>(pages.size()));
    });
  }
  void sync(Loop::Done done) override {
    loop_.after_ms(1, [this, began = events_.size(), done = std::move(done)](int32_t) {
      events_.push_back({Event::Kind::sync, 0, {}, began});
      done(0);
    });
  }
  Result<void> read(uint64_t offset, MutableBytes into) const override {
    std::copy_n(data_.begin() + static_cast<ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  }
  void set_watched(bool) override {}
  const Buffer& data() const { return data_; }

 private:
  Loop& loop_;
  std::vector<Event>& events_;
  Buffer data_;
};

// One life after the other on the same disk.
struct World {
  World() { live(Buffer(kFileSize), std::nullopt); }
  void live(Buffer data, std::optional<Presence> presence) {
    file = std::make_shared<RecordedFile>(*loop, events, std::move(data));
    ObjectEnvironment environment = {*loop, pool, memory, counters, 60'000};
    object = std::make_shared<BlobObject>(environment, AttachedFile{1, file, path(), std::move(presence)},
                                          *layout_of(blob));
    object->add_source(storage);
    object->begin();
  }
  std::string path() const { return scratch.path() + "/presence"; }
  template <typename Condition>
  void run_until(Condition condition) {
    while (!condition()) {
      loop->after_ms(0, [this](int32_t) { loop->stop(); });
      REQUIRE(loop->run());
      note_publication();
    }
  }
  // Whoever asked for it.
  void note_publication() {
    auto bytes = os::read_file(path(), 1 << 20);
    if (!bytes || *bytes == published) return;
    published = *bytes;
    events.push_back({Event::Kind::publish, 0, published});
  }
  void request(uint64_t offset, uint64_t count) {
    object->on_request({1, offset, count, 0}, Ticket(kernel, ++last_slot));
  }
  bool all_answered() {
    for (uint32_t slot = 1; slot <= last_slot; slot++)
      if (kernel.answers[slot].empty()) return false;
    return true;
  }
  void save(bool clean) {
    unfinished_saves++;
    object->save(clean, [this](Result<void> result) {
      REQUIRE(result);
      unfinished_saves--;
    });
  }
  void release() {
    run_until([this] { return all_answered(); });
    save(true);
    run_until([this] { return unfinished_saves == 0; });
    live(file->data(), load_presence(path()));
  }

  Scratch scratch;
  std::vector<Event> events;
  Buffer published;
  Buffer blob = content();
  std::unique_ptr<Loop> loop = std::move(*Loop::create(16));
  DecodePool pool{*loop, 2};
  FetchMemory memory{1 << 20};
  ObjectCounters counters;
  FakeKernel kernel;
  uint32_t last_slot = 0;
  unsigned unfinished_saves = 0;
  std::shared_ptr<FakeStorage> storage = std::make_shared<FakeStorage>(*loop, blob);
  std::shared_ptr<RecordedFile> file;
  std::shared_ptr<BlobObject> object;
};

std::vector<Event> trace(uint32_t seed) {
  World world;
  std::minstd_rand random(seed);
  for (int step = 0; step < 14; step++) {
    uint64_t chunk = random() % kChunks;
    world.request(chunk * kStep, (1 + random() % 3) * kStep);
    if (random() % 2) world.run_until([&] { return world.all_answered(); });
    if (random() % 3 == 0) world.save(false);
    if (random() % 5 == 0) world.release();
  }
  world.run_until([&] { return world.all_answered() && world.unfinished_saves == 0; });
  return world.events;
}

struct Disk {
  Buffer data = Buffer(kFileSize);
  std::optional<Buffer> presence;
};

// Of the presence journal being written when power fails: nothing, some bytes of what is added to it, all.
enum class Published { nothing, part, all };

void publish(std::optional<Buffer>& presence, const Buffer& next, Published published,
             std::minstd_rand& random) {
  if (published == Published::all) presence = next;
  if (published != Published::part || !presence || presence->size() >= next.size()) return;
  if (!std::equal(presence->begin(), presence->end(), next.begin())) return;  // a new file, renamed whole
  size_t size = presence->size() + random() % (next.size() - presence->size());
  presence->assign(next.begin(), next.begin() + static_cast<ptrdiff_t>(size));
}

// What the disk may hold when power fails before event `cut`.
Disk disk_after(const std::vector<Event>& events, size_t cut, Published published, std::minstd_rand& random) {
  Disk disk;
  size_t durable = 0;
  bool synced = false;  // and nothing published since
  for (size_t i = 0; i < cut; i++) {
    if (events[i].kind == Event::Kind::sync) durable = std::max(durable, events[i].sync_began);
    if (events[i].kind != Event::Kind::write) synced = events[i].kind == Event::Kind::sync;
  }
  for (size_t i = 0; i < cut; i++) {
    const Event& event = events[i];
    if (event.kind == Event::Kind::publish) disk.presence = event.bytes;
    if (event.kind != Event::Kind::write) continue;
    for (size_t at = 0; at < event.bytes.size(); at += kPageSize)
      if (i < durable || random() % 2)
        std::copy_n(event.bytes.begin() + static_cast<ptrdiff_t>(at), kPageSize,
                    disk.data.begin() + static_cast<ptrdiff_t>(event.offset + at));
  }
  auto next = std::find_if(events.begin() + static_cast<ptrdiff_t>(cut), events.end(),
                           [](const Event& event) { return event.kind == Event::Kind::publish; });
  if (synced && next != events.end()) publish(disk.presence, next->bytes, published, random);
  return disk;
}

// Everything is read, chunk by chunk. The fetches it took.
size_t check_next_life(const Disk& disk) {
  World world;
  std::optional<Presence> presence;
  if (disk.presence) {
    REQUIRE(os::publish_file(world.path(), *disk.presence, 0600));
    presence = load_presence(world.path());
  }
  world.live(disk.data, std::move(presence));
  for (uint32_t chunk = 0; chunk < kChunks; chunk++) {
    world.request(chunk * kStep, kStep);
    world.run_until([&] { return world.all_answered(); });
    REQUIRE(world.kernel.answers[world.last_slot] == std::vector<int>{0});
    ByteView wanted = chunk_of(world.blob, chunk);
    CHECK(std::equal(wanted.begin(), wanted.end(), world.file->data().begin() + chunk * kStep));
  }
  world.run_until([&] { return world.memory.used() == 0; });
  return world.storage->reads.size();
}

}  // namespace

TEST_CASE("power loss at every point: what is called present is right") {
  for (uint32_t seed : {1u, 2u, 3u}) {
    std::vector<Event> events = trace(seed);
    std::minstd_rand random(seed);
    size_t kept = 0;
    for (size_t cut = 0; cut <= events.size(); cut++)
      for (Published published : {Published::nothing, Published::part, Published::all}) {
        INFO("seed " << seed << " cut " << cut << " of " << events.size() << " published "
                     << static_cast<int>(published));
        if (check_next_life(disk_after(events, cut, published, random)) < kChunks) kept++;
      }
    CHECK(kept > 0);  // something survives, or the test would prove nothing
  }
}
