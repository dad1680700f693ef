// P7: whatever the sources, the disk and the clock do, and however often the worker dies: every question of
// the kernel is answered once, in time, with right bytes or with an EIO that has a reason.
//
//   SIMULATION_SEED=N      of the first run (1)
//   SIMULATION_REQUESTS=N  how many questions in all (20,000); 1 = one run
//   SIMULATION_LOG=1       what the worker says of it all
#include "fscached/tests/simulation/simulation.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "erofs-format/base/log.h"

using namespace fscached;

namespace {

constexpr uint64_t kQuestionsOfRun = 400;

uint64_t number_of(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Thousands of errors are right here, and say nothing.
struct Quiet {
  Quiet() { set_log_level(std::getenv("SIMULATION_LOG") ? LogLevel::debug : static_cast<LogLevel>(-1)); }
  ~Quiet() { set_log_level(LogLevel::info); }
};

SimulationReport run(uint64_t seed) {
  Choices choices(seed);
  SimulationReport report = simulate(choices, kQuestionsOfRun);
  INFO(report.failure << "\n  again: SIMULATION_SEED=" << seed
                      << " SIMULATION_REQUESTS=1 build/release/bin/test-fscached -tc='simulation: every*'");
  REQUIRE(report.failure.empty());
  return report;
}

}  // namespace

TEST_CASE("simulation: every question of the kernel is answered once, in time, and truly") {
  Quiet quiet;
  SimulationReport all;
  uint64_t wanted = number_of("SIMULATION_REQUESTS", 20'000);
  uint64_t seed = number_of("SIMULATION_SEED", 1);
  uint64_t runs = 0;
  do {
    SimulationReport report = run(seed++);
    runs++;
    all.asked += report.asked;
    all.answered += report.answered;
    all.errors += report.errors;
    all.unasked += report.unasked;
    all.again += report.again;
    all.lives += report.lives;
    all.faults += report.faults;
  } while (all.asked < wanted);
  MESSAGE(runs << " runs: " << all.asked << " questions, " << all.answered << " answers, " << all.errors
               << " of them EIO, " << all.unasked << " reads that needed nobody, " << all.again
               << " questions of dead workers, " << all.lives << " workers, " << all.faults << " faults");
}

TEST_CASE("simulation: the same seed makes the same run") {
  Quiet quiet;
  for (uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) CHECK(run(seed).trace == run(seed).trace);
}
