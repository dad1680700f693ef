// A loop whose time passes only when nothing else can happen, and which chooses what happens next among
// everything that may: the order of a machine under any load.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "fscached/loop.h"
#include "fscached/tests/simulation/choices.h"

namespace fscached {

// What the disk does to writes and syncs; when it did, so that an EIO can be explained.
struct SimulatedDisk {
  unsigned one_fault_in = 0;  // 0 = never
  size_t unit = 1;            // what is written in part is written in multiples of this many bytes
  std::vector<uint64_t> faults;
  bool failed_between(uint64_t began, uint64_t ended) const {
    return std::any_of(faults.begin(), faults.end(),
                       [&](uint64_t fault) { return began <= fault && fault <= ended; });
  }
};

class SimulatedLoop final : public Loop {
 public:
  // `clock`: nanoseconds; it goes on when the loop ends.
  SimulatedLoop(Choices& choices, uint64_t& clock, SimulatedDisk& disk)
      : choices_(choices), clock_(clock), disk_(disk) {}

  Id poll(int fd, uint32_t events, Done ready) override { return add_poll(fd, events, ready, false); }
  Id poll_once(int fd, uint32_t events, Done ready) override { return add_poll(fd, events, ready, true); }
  Id after_ms(uint64_t milliseconds, Done fired) override;
  Id read(int fd, uint64_t offset, std::span<uint8_t> into, Done done) override;
  Id write(int fd, uint64_t offset, std::span<const uint8_t> bytes, Done done) override;
  Id fdatasync(int fd, Done done) override;
  void cancel(Id id) override;
  void post(std::function<void()> task) override { posted_.push_back(std::move(task)); }
  Result<void> run() override;
  void stop() override { stopping_ = true; }
  // Every look at the clock takes a moment.
  uint64_t now_ns() const override { return clock_ += kLookNs; }

  // Runs one callback; lets time pass until there is one. False: nothing will ever happen.
  bool step();
  // Some descriptor may have become readable: what a poll's edge is.
  void look() { look_ = true; }
  // From now on files are out of reach: every operation fails, also those under way.
  void lose_files();
  size_t file_operations() const { return files_.size(); }
  size_t timers() const { return timers_.size(); }

 private:
  static constexpr uint64_t kLookNs = 1000;
  struct Poll {
    int fd = -1;
    short events = 0;
    bool once = false;
    bool ready = false;
    Done done;
  };
  struct FileOperation {
    uint64_t ends = 0;
    std::function<int32_t()> act;
    std::optional<int32_t> result;  // it has acted, and nobody knows yet
    Done done;
  };

  Id add_poll(int fd, uint32_t events, Done& ready, bool once);
  Id add_file(std::function<int32_t()> act, Done done);
  int32_t disk_error();
  void find_ready();
  bool pass_time();
  size_t count_due() const;
  void run_poll();
  void run_file();
  void run_timer();
  void run_posted();

  Choices& choices_;
  uint64_t& clock_;
  SimulatedDisk& disk_;
  Id last_id_ = 0;
  bool look_ = false;
  bool stopping_ = false;
  bool no_files_ = false;
  std::map<Id, Poll> polls_;
  size_t ready_ = 0;
  std::map<Id, FileOperation> files_;
  std::map<std::pair<uint64_t, Id>, Done> timers_;
  std::map<Id, uint64_t> deadlines_;  // of timers
  std::vector<std::function<void()>> posted_;
};

}  // namespace fscached
