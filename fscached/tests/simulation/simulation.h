// The worker's data path from one seed: a kernel, sources, a disk and a clock that are made up, and
// everything that may go wrong with them.
#pragma once

#include <cstdint>
#include <string>

#include "fscached/tests/simulation/choices.h"

namespace fscached {

struct SimulationReport {
  uint64_t asked = 0;     // questions of the kernel to the worker
  uint64_t answered = 0;  // by the worker
  uint64_t errors = 0;    // of these EIO, each with a reason
  uint64_t unasked = 0;   // reads the kernel could serve by itself
  uint64_t again = 0;     // questions a worker had died over
  uint64_t lives = 0;     // of workers
  uint64_t faults = 0;    // of sources and of the disk
  uint64_t trace = 0;     // goes by every choice
  std::string failure;    // empty = everything held
};

// One worker and its successors until so many questions were asked and answered. Works in a scratch folder of
// its own, and changes the working directory meanwhile.
SimulationReport simulate(Choices& choices, uint64_t questions);

// Start, ten reads, stop, where nothing goes wrong but this: memory is short at the n-th allocation of each
// of the first `workers`. None of them may come so far: then `happened` is false.
struct ShortMemory {
  bool on_cachefiles = false;
  uint64_t nth = 1;
  unsigned workers = 1;
  bool happened = false;
};
SimulationReport simulate(Choices& choices, ShortMemory& memory);

}  // namespace fscached
