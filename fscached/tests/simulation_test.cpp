// P7: whatever the sources, the disk and the clock do, and however often the worker dies: every question of
// the kernel is answered once, in time, with right bytes or with an EIO that has a reason.
//
//   SIMULATION_SEED=N      of the first run (1)
//   SIMULATION_REQUESTS=N  how many questions in all (20,000); 1 = one run; more: short memory in every way
//   SIMULATION_LOG=1       what the worker says of it all
#include "fscached/tests/simulation/simulation.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"

using namespace fscached;

namespace {

constexpr uint64_t kQuestions = 20'000;
constexpr uint64_t kQuestionsOfRun = 400;
// Of a run in which memory ends again and again, once with a file being opened: its reader must not have it
// opened a second time, beside that.
constexpr uint64_t kOpenedTwice = 3920973376164;

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

// Of the runs from `memory.nth` on. In a process of its own: workers whose memory ends leave everything
// behind.
struct ShortRuns {
  std::string failure;
  uint64_t next = 0;  // 0: memory was never short
};

std::string run_here(ShortMemory memory) {
  constexpr uint64_t kRunsOfProcess = 50;
  for (uint64_t end = memory.nth + kRunsOfProcess; memory.nth < end; memory.nth++) {
    memory.happened = false;
    Choices choices(1);
    SimulationReport report = simulate(choices, memory);
    if (!report.failure.empty()) return std::to_string(memory.nth) + " " + report.failure;
    if (!memory.happened) return "0 ";
  }
  return std::to_string(memory.nth) + " ";
}

ShortRuns run_short(const ShortMemory& memory) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  pid_t child = fork();
  if (child == 0) {
    std::string text = run_here(memory);
    _exit(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string text(1024, ' ');
  ssize_t size = read(ends[0], text.data(), text.size());
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (status != 0 || size < 1) return {"the process ended with status " + std::to_string(status), memory.nth};
  text.resize(static_cast<size_t>(size));
  return {text.substr(text.find(' ') + 1), std::strtoull(text.c_str(), nullptr, 10)};
}

}  // namespace

TEST_CASE("simulation: every question of the kernel is answered once, in time, and truly") {
  Quiet quiet;
  SimulationReport all;
  uint64_t wanted = number_of("SIMULATION_REQUESTS", kQuestions);
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

TEST_CASE("simulation: wherever a worker's memory ends, it ends, and its successors answer its readers") {
  Quiet quiet;
  for (bool on_cachefiles : {false, true})
    for (unsigned workers : {1u, 3u}) {
      // Of the four, two for each change: once with one mechanism, again and again with the other.
      if (number_of("SIMULATION_REQUESTS", 0) <= kQuestions && on_cachefiles == (workers > 1)) continue;
      ShortMemory memory{on_cachefiles, 1, workers, false};
      uint64_t tried = 0;
      while (memory.nth > 0) {
        tried = memory.nth;
        ShortRuns runs = run_short(memory);
        INFO("of " << workers << " workers, allocation " << runs.next << ": " << runs.failure);
        REQUIRE(runs.failure.empty());
        memory.nth = runs.next;
      }
      CHECK(tried > 300);
    }
}

TEST_CASE("simulation: the same seed makes the same run, whatever is said of it") {
  erofs_format::os::UniqueFd nowhere(open("/dev/null", O_WRONLY | O_CLOEXEC));
  for (uint64_t seed : std::initializer_list<uint64_t>{1, 2, 3, 4, 5, 6, 7, kOpenedTwice}) {
    uint64_t trace = 0;
    {
      Quiet quiet;
      trace = run(seed).trace;
    }
    set_log_output(nowhere.get());
    CHECK(run(seed).trace == trace);
    set_log_output(STDERR_FILENO);
  }
}
