// What everything in one simulation shares.
#pragma once

#include <vector>

#include "fscached/tests/simulation/choices.h"
#include "fscached/tests/simulation/judge.h"
#include "fscached/tests/simulation/simulated_blob.h"
#include "fscached/tests/simulation/simulated_loop.h"
#include "fscached/tests/simulation/simulated_storage.h"

namespace fscached {

struct Scene {
  explicit Scene(Choices& all_choices) : choices(all_choices) {}
  Choices& choices;
  uint64_t clock = 1'000'000'000;
  Judge judge;
  Faults faults;
  SimulatedDisk disk;
  bool had_faults() const { return faults.count() + disk.faults.size() > 0; }
  std::vector<SimulatedBlob> blobs;
  SourceHabits habits;
  size_t sources = 1;
  uint64_t request_timeout_ms = 0;
  SimulatedLoop* loop = nullptr;  // of the worker that lives
};

}  // namespace fscached
