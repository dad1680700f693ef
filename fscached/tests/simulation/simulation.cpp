#include "fscached/tests/simulation/simulation.h"

#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <new>
#include <optional>

#include "fscached/tests/allocations.h"
#include "fscached/tests/simulation/simulated_worker.h"

namespace fscached {

namespace {

constexpr size_t kMaxWaiting = 40;
constexpr uint64_t kMostReadsOfLife = 150;  // in the end everything is there
constexpr uint64_t kMaxStepsAtRest = 2'000'000;

// In memory where files there can be used as the kernel's cache uses its own (O_DIRECT), else on a disk.
class WorkingFolder {
 public:
  WorkingFolder() {
    for (std::string path : {"/dev/shm/fscached-simulation-XXXXXX", "/tmp/fscached-simulation-XXXXXX"}) {
      if (mkdtemp(path.data()) == nullptr) continue;
      path_ = path;
      os::UniqueFd probe(open((path + "/probe").c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600));
      if (probe.valid() && chdir(path.c_str()) == 0) return;
      std::filesystem::remove_all(path);
    }
    abort();
  }
  ~WorkingFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    if (fchdir(home_.get()) != 0) abort();
  }
  WorkingFolder(const WorkingFolder&) = delete;
  WorkingFolder& operator=(const WorkingFolder&) = delete;

 private:
  os::UniqueFd home_{open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  std::string path_;
};

class Simulation {
 public:
  Simulation(Choices& choices, uint64_t questions);
  SimulationReport run();
  SimulationReport run(ShortMemory& memory);

 private:
  void make_kernel(bool on_cachefiles, size_t blobs);
  void live();
  void act();
  void read();
  void command();
  void replace_worker();
  // Everything the worker does happens in here, and ends with it when its memory is short.
  bool let_worker(const std::function<void()>& act);
  void lack_memory(uint64_t nth);
  void bury_worker();
  SimulationReport report() const;
  bool step();
  void come_to_rest();
  void read_everything();

  Scene scene_;
  uint64_t questions_;
  WorkingFolder folder_;
  std::unique_ptr<SimulatedKernel> kernel_;
  std::unique_ptr<SimulatedWorker> worker_;
  uint64_t lives_ = 0;
  uint64_t reads_ = 0;  // of this life
  std::optional<FailingAllocation> short_memory_;
  uint64_t deaths_of_memory_ = 0;
  unsigned short_workers_ = 0;  // that are still to come
  uint64_t nth_of_worker_ = 0;
  // How often things happen in this run.
  uint64_t pace_ = 0;  // callbacks between two readers, at most
  unsigned one_death_in_ = 0, one_command_in_ = 0, one_surprise_in_ = 0;
};

Simulation::Simulation(Choices& choices, uint64_t questions) : scene_(choices), questions_(questions) {
  scene_.request_timeout_ms = 20'000;
  scene_.sources = choices.between(1, 2);
  scene_.habits.one_fault_in = static_cast<unsigned>(choices.one_in(8) ? 1 : choices.between(2, 30));
  scene_.habits.stall_ms = 3 * scene_.request_timeout_ms;
  scene_.disk.one_fault_in = choices.one_in(2) ? 0 : static_cast<unsigned>(choices.between(5, 100));
  pace_ = choices.between(2, 8);
  one_death_in_ = static_cast<unsigned>(choices.between(100, 2000));
  one_command_in_ = static_cast<unsigned>(choices.between(50, 1000));
  one_surprise_in_ = static_cast<unsigned>(choices.between(20, 300));
}

void Simulation::make_kernel(bool on_cachefiles, size_t blobs) {
  for (size_t i = 0; i < blobs; i++)
    scene_.blobs.push_back(make_blob(scene_.choices, static_cast<char>('a' + i), !on_cachefiles));
  // The kernel's cache is written directly, block by block.
  if (on_cachefiles) scene_.disk.unit = kPageSize;
  kernel_ = on_cachefiles ? simulate_cachefiles(scene_) : simulate_fanotify(scene_);
}

void Simulation::live() {
  do {
    lives_++;
    reads_ = 0;
    worker_ = std::make_unique<SimulatedWorker>(scene_, *kernel_);
    if (short_workers_ > 0) lack_memory(nth_of_worker_);
  } while (!let_worker([this] { worker_->start(); }));
}

// The worker's end is that of its process: what it had done until then counts, and nothing it does from then
// on.
void Simulation::lack_memory(uint64_t nth) {
  short_memory_.emplace(nth, [this] { kernel_->cut_off(); });
}

bool Simulation::let_worker(const std::function<void()>& act) {
  try {
    OwnAllocations theirs(false);
    act();
    return true;
  } catch (const std::bad_alloc&) {
    OwnAllocations ours;
    short_memory_.reset();
    deaths_of_memory_++;
    if (short_workers_ > 0) short_workers_--;
    SimulatedWorker::leave(std::move(worker_));
    return false;
  }
}

void Simulation::bury_worker() {
  short_memory_.reset();
  worker_.reset();
}

void Simulation::read() {
  Choices& choices = scene_.choices;
  reads_++;
  size_t blob = choices.below(scene_.blobs.size());
  uint64_t size = scene_.blobs[blob].size();
  Extent range = {choices.below(size / kPageSize + 1) * kPageSize, choices.between(1, 8) * kPageSize};
  if (choices.one_in(30)) range = {choices.below(2 * size), choices.below(2 * size)};
  if (choices.one_in(60)) range = {0, UINT64_MAX};
  // Several may want the same.
  for (uint64_t readers = choices.one_in(10) ? 3 : 1; readers > 0; readers--) kernel_->read(blob, range);
}

void Simulation::command() {
  size_t blob = scene_.choices.below(scene_.blobs.size());
  uint64_t kind = scene_.choices.below(6);
  bool lives = let_worker([&] {
    if (kind == 0) return worker_->fetch(blob);
    if (kind == 1) return worker_->save(false);
    worker_->scrub(blob);
  });
  if (!lives) live();
}

// Killed as it is, or at rest with everything saved; then some of the files may have gone.
void Simulation::replace_worker() {
  bool clean = scene_.choices.one_in(2);
  if (clean) {
    come_to_rest();
    if (!let_worker([this] { worker_->save(true); })) return live();
    come_to_rest();
  }
  bury_worker();
  for (size_t blob = 0; blob < scene_.blobs.size(); blob++) {
    if (clean && !scene_.choices.one_in(4)) kernel_->empty(blob);
    if (!clean && scene_.choices.one_in(4)) kernel_->rot(blob);
  }
  scene_.clock += scene_.choices.below(5'000) * 1'000'000;
  live();
}

void Simulation::act() {
  if (scene_.choices.one_in(one_surprise_in_)) kernel_->surprise();
  if (scene_.choices.one_in(one_command_in_)) command();
  // A death in the middle of something, soon; what is left of that worker stays in memory, so there are few.
  if (scene_.choices.one_in(20 * one_death_in_)) lack_memory(scene_.choices.between(1, 500));
  if (scene_.choices.one_in(one_death_in_) || reads_ == kMostReadsOfLife) return replace_worker();
  if (kernel_->waiting() < kMaxWaiting) read();
}

bool Simulation::step() {
  bool more = true;
  if (!let_worker([&] { more = worker_->step(); })) live();
  kernel_->turn();
  return more && scene_.judge.content();
}

void Simulation::come_to_rest() {
  uint64_t steps = 0;
  while ((kernel_->waiting() > 0 || !worker_->rests()) && steps++ < kMaxStepsAtRest && step()) {
  }
  kernel_->check_rest();
  worker_->check_rest();
}

// With sources that are right now, every byte can be had.
void Simulation::read_everything() {
  scene_.habits.honest = true;
  scene_.disk.one_fault_in = 0;
  for (size_t blob = 0; blob < scene_.blobs.size(); blob++)
    kernel_->read(blob, {0, scene_.blobs[blob].size()});
  uint64_t errors = kernel_->counters().errors;
  come_to_rest();
  scene_.judge.expect(errors == kernel_->counters().errors, "errors although every source is right");
}

SimulationReport Simulation::run() {
  bool on_cachefiles = scene_.choices.one_in(2);
  make_kernel(on_cachefiles, scene_.choices.between(1, 4));
  live();
  while (kernel_->counters().asked < questions_ && scene_.judge.content()) {
    for (uint64_t steps = scene_.choices.below(pace_); steps > 0; steps--) step();
    act();
    kernel_->turn();
  }
  come_to_rest();
  read_everything();
  bury_worker();
  return report();
}

// The memory of the first workers ends at the same allocation; then a reader's luck must not depend on it.
SimulationReport Simulation::run(ShortMemory& memory) {
  scene_.habits.honest = true;
  scene_.disk.one_fault_in = 0;
  short_workers_ = memory.workers;
  nth_of_worker_ = memory.nth;
  make_kernel(memory.on_cachefiles, 1);
  live();
  for (int i = 0; i < 10; i++) {
    read();
    come_to_rest();
  }
  if (!let_worker([this] { worker_->save(true); })) live();
  come_to_rest();
  memory.happened = deaths_of_memory_ > 0;
  scene_.judge.expect(kernel_->counters().errors == 0, "errors although every source is right");
  bury_worker();
  return report();
}

SimulationReport Simulation::report() const {
  const ReaderCounters& counters = kernel_->counters();
  SimulationReport report;
  report.asked = counters.asked;
  report.answered = counters.answered;
  report.errors = counters.errors;
  report.unasked = counters.unasked;
  report.again = counters.again;
  report.lives = lives_;
  report.faults = scene_.faults.count() + scene_.disk.faults.size();
  report.trace = scene_.choices.trace();
  report.failure = scene_.judge.verdict();
  return report;
}

}  // namespace

SimulationReport simulate(Choices& choices, uint64_t questions) {
  OwnAllocations ours;
  return Simulation(choices, questions).run();
}

SimulationReport simulate(Choices& choices, ShortMemory& memory) {
  OwnAllocations ours;
  return Simulation(choices, 0).run(memory);
}

}  // namespace fscached
