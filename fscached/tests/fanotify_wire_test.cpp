#include "fscached/kernel/fanotify_wire.h"

#include <doctest/doctest.h>

#include "fscached/kernel/fanotify_abi.h"
#include "fscached/tests/fanotify_records.h"

using namespace fscached;

TEST_CASE("fanotify: a ranged event as Linux 6.18 writes it") {
  // Captured bytes: 48-byte record, version 3, FAN_PRE_ACCESS, fd 9, pid 4242, 65536 bytes at 1 MiB.
  const uint8_t bytes[48] = {0x30, 0, 0,    0, 3,    0,    0x18, 0, 0, 0, 0x10, 0, 0, 0, 0, 0,
                             9,    0, 0,    0, 0x92, 0x10, 0,    0, 6, 0, 0x18, 0, 0, 0, 0, 0,
                             0,    0, 0x10, 0, 0,    0,    0,    0, 0, 0, 1,    0, 0, 0, 0, 0};
  std::vector<FanotifyEvent> events;
  REQUIRE(parse_fanotify_events(bytes, events));
  REQUIRE(events.size() == 1);
  CHECK(events[0].permission);
  CHECK(events[0].number == 9);
  CHECK(events[0].pid == 4242);
  CHECK(events[0].offset == 1 << 20);
  CHECK(events[0].count == 65536);
}

TEST_CASE("fanotify: several records, unknown information, no range, overflow") {
  Buffer bytes = event_record({7, 4096, 8192});
  Buffer with_unknown = event_record({8, 0, 4096}, {{4, 12}});
  Buffer plain = event_record_without_range(9);
  Buffer overflow = event_record_without_range(-1, FAN_Q_OVERFLOW);
  for (const Buffer* more : {&with_unknown, &plain, &overflow}) append(bytes, *more);
  std::vector<FanotifyEvent> events;
  REQUIRE(parse_fanotify_events(bytes, events));
  REQUIRE(events.size() == 4);
  CHECK(events[1].number == 8);
  CHECK(events[1].count == 4096);
  CHECK(events[2].offset == 0);
  CHECK(events[2].count == UINT64_MAX);
  CHECK(events[3].overflow);
  CHECK_FALSE(events[3].permission);
}

TEST_CASE("fanotify: cleared memory ends the records") {
  Buffer bytes = event_record({7, 0, 4096});
  bytes.resize(4096);
  std::vector<FanotifyEvent> events;
  REQUIRE(parse_fanotify_events(bytes, events));
  CHECK(events.size() == 1);
}

TEST_CASE("fanotify: broken records are refused, what came before them is kept") {
  auto broken = [](size_t at, uint8_t value) {
    Buffer bytes = event_record({7, 0, 4096});
    Buffer second = event_record({8, 0, 4096});
    second[at] = value;
    append(bytes, second);
    std::vector<FanotifyEvent> events;
    auto result = parse_fanotify_events(bytes, events);
    CHECK_FALSE(result);
    CHECK(result.error().code == Code::corrupt);
    return events.size();
  };
  CHECK(broken(0, 200) == 1);  // longer than what came
  CHECK(broken(0, 20) == 1);   // shorter than its head
  CHECK(broken(4, 4) == 1);    // another version
  CHECK(broken(6, 23) == 1);   // head cut
  CHECK(broken(6, 49) == 1);   // head longer than the record
  CHECK(broken(26, 3) == 1);   // information shorter than its head
  CHECK(broken(26, 25) == 1);  // information leaves the record
  CHECK(broken(26, 8) == 1);   // range record without range
  // offset + count wraps around only with both large
  Buffer wrapping = event_record({7, UINT64_MAX - 4095, 8192});
  std::vector<FanotifyEvent> events;
  CHECK_FALSE(parse_fanotify_events(wrapping, events));
}

TEST_CASE("fanotify: every cut of a record is refused") {
  Buffer bytes = event_record({7, 0, 4096});
  for (size_t size = 1; size < bytes.size(); size++) {
    std::vector<FanotifyEvent> events;
    CHECK_FALSE(parse_fanotify_events(ByteView(bytes).first(size), events));
    CHECK(events.empty());
  }
}
