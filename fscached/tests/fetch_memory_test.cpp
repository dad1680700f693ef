#include "fscached/object/fetch_memory.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <string>
#include <vector>

using namespace fscached;

namespace {

constexpr uint64_t kLimit = 1000;

struct Fixture {
  FetchMemory memory{kLimit};
  std::string order;
  void acquire(const int& source, uint64_t bytes, char name, Urgency urgency = Urgency::reader) {
    memory.acquire(&source, bytes, urgency, [this, name] { order += name; });
  }
};

}  // namespace

TEST_CASE("fetch memory: a source alone has two thirds, whatever it asks for") {
  Fixture f;
  int source = 0;
  for (int i = 0; i < 20; i++) f.acquire(source, 100, 'a');
  CHECK(f.order == "aaaaaaa");
  CHECK(f.memory.used() == 700);
  f.memory.release(&source, 100);
  CHECK(f.order == "aaaaaaaa");
  CHECK(f.memory.waiting() == 12);
}

TEST_CASE("fetch memory: sources that stall leave room to each further one") {
  Fixture f;
  int sources[6] = {};
  std::string last;
  for (char name = 0; name < 6; name++) {
    size_t before = f.order.size();
    for (int i = 0; i < 100; i++)
      f.acquire(sources[static_cast<int>(name)], 10, static_cast<char>('a' + name));
    CHECK(f.order.size() > before);
    CHECK(f.order.back() == 'a' + name);
  }
  CHECK(f.memory.used() <= kLimit + 10 * std::size(sources));
}

TEST_CASE("fetch memory: with nothing under way a source starts, even beyond the limit") {
  Fixture f;
  int one = 0, other = 0;
  f.acquire(one, 5000, 'a');
  f.acquire(one, 1, 'b');
  f.acquire(other, 800, 'c');
  f.acquire(other, 1, 'd');
  CHECK(f.order == "ac");
  f.memory.release(&one, 5000);
  CHECK(f.order == "acb");
  f.memory.release(&other, 800);
  CHECK(f.order == "acbd");
}

TEST_CASE("fetch memory: sources in turn, readers of each before its background work") {
  Fixture f;
  int block = 0, one = 0, other = 0;
  f.acquire(block, 2000, 'x');
  f.acquire(one, 600, 'a');
  f.acquire(other, 600, 'b');
  f.acquire(one, 100, 'p', Urgency::background);
  f.acquire(one, 100, 'q');
  f.acquire(other, 100, 'r');
  CHECK(f.order == "xab");
  f.memory.release(&block, 2000);
  f.memory.release(&one, 600);
  f.memory.release(&other, 600);
  CHECK(f.order.size() == 6);
  CHECK(f.order.find('q') < f.order.find('p'));
}

TEST_CASE("fetch memory: whatever comes and goes, the account is right in the end") {
  for (uint32_t seed = 1; seed <= 50; seed++) {
    INFO(seed);
    std::minstd_rand random(seed);
    FetchMemory memory(kLimit);
    int sources[3] = {};
    std::vector<std::pair<int*, uint64_t>> held;
    size_t asked = 0, started = 0;
    auto release_one = [&] {
      auto entry = held.begin() + static_cast<ptrdiff_t>(random() % held.size());
      auto [source, bytes] = *entry;
      held.erase(entry);
      memory.release(source, bytes);
    };
    for (int step = 0; step < 2000; step++) {
      if (!held.empty() && random() % 2 == 0) {
        release_one();
        continue;
      }
      int* source = &sources[random() % 3];
      uint64_t bytes = random() % 400;
      asked++;
      memory.acquire(source, bytes, random() % 2 ? Urgency::reader : Urgency::background, [&, source, bytes] {
        started++;
        held.emplace_back(source, bytes);
      });
      REQUIRE(memory.used() <= kLimit + 3 * 400);
    }
    while (!held.empty()) release_one();
    CHECK(started == asked);
    CHECK(memory.waiting() == 0);
    CHECK(memory.used() == 0);
  }
}
