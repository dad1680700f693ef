#include "fscached/tests/simulation/simulated_worker.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "fscached/object/scrub.h"

namespace fscached {

SimulatedWorker::SimulatedWorker(Scene& scene, SimulatedKernel& kernel)
    : scene_(scene),
      kernel_(kernel),
      loop_(scene.choices, scene.clock, scene.disk),
      link_(kernel.prepare()),
      pool_(loop_, 0) {
  scene_.loop = &loop_;
  mkdir("grave", 0700);
  memory_ = std::make_unique<FetchMemory>(scene.choices.between(1, 16) * 32 << 10);
  sources_ = std::make_shared<std::vector<SimulatedStorage>>();
  sources_->reserve(scene.sources);
  for (size_t i = 0; i < scene.sources; i++)
    sources_->emplace_back(loop_, scene.choices, scene.blobs, scene.faults, scene.habits, i);
}

void SimulatedWorker::start() {
  auto backend = kernel_.connect(link_);
  if (!backend) abort();
  backend_ = std::move(*backend);
  backend_->restore(loop_, *this, kernel_.files());
  attach();
  link_.start(
      loop_, [](const keeper::Message&) {}, [this] { scene_.judge.fail("the keeper is lost"); });
  backend_->start();
  for (auto& object : objects_) object->settle_watch();
  save_changes();
}

void SimulatedWorker::attach() {
  objects_.resize(scene_.blobs.size());
  for (const SimulatedBlob& blob : scene_.blobs)
    backend_->attach({1, "image", "domain"}, blob.layout, [&](Result<AttachedFile> attached) {
      if (!attached) return scene_.judge.fail("attach: {}", attached.error().message);
      size_t index = attached->id - 1;
      objects_[index] = std::make_shared<BlobObject>(environment(), std::move(*attached), blob.layout);
      objects_[index]->begin();
      for (SimulatedStorage& source : *sources_)
        objects_[index]->add_source(std::shared_ptr<Storage>(sources_, &source));
    });
}

ObjectEnvironment SimulatedWorker::environment() {
  return {loop_, pool_, *memory_, counters_, scene_.request_timeout_ms};
}

// A killed process has no end of its own; objects in one that lives on must see theirs. What is under way
// ends where it harms nobody: without kernel, files, sources, and in a time and a folder that do not count.
void SimulatedWorker::die() {
  kernel_.cut_off();
  dead_ = true;
  scene_.habits.gone = true;
  loop_.lose_files();
  uint64_t clock = scene_.clock;
  os::UniqueFd home(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (chdir("grave") != 0) abort();
  while (loop_.step()) {
  }
  if (fchdir(home.get()) != 0) abort();
  scene_.clock = clock;
  scene_.habits.gone = false;
}

SimulatedWorker::~SimulatedWorker() {
  die();
  objects_.clear();
  backend_.reset();
  kernel_.bury();
  scene_.loop = nullptr;
}

void SimulatedWorker::leave(std::unique_ptr<SimulatedWorker> worker) {
  static auto* const left = new std::vector<std::unique_ptr<SimulatedWorker>>;
  worker->backend_.reset();
  worker->kernel_.bury();
  worker->scene_.loop = nullptr;
  left->push_back(std::move(worker));
}

void SimulatedWorker::on_request(const KernelRequest& request, Ticket ticket) {
  if (request.object == 0 || request.object > objects_.size())
    return scene_.judge.fail("a request for object {}", request.object);
  objects_[request.object - 1]->on_request(request, std::move(ticket));
}

void SimulatedWorker::on_kept(ObjectId id, Extent range, const std::vector<Extent>& data) {
  objects_[id - 1]->on_kept(range, data);
}

// --- commands -------------------------------------------------------------------

void SimulatedWorker::scrub(size_t blob) {
  commands_++;
  auto report = std::make_shared<ScrubReport>();
  fscached::scrub(objects_[blob], report, [this, report] {
    commands_--;
    scene_.judge.expect(report->lost == 0 || dead_ || scene_.had_faults(),
                        "scrub lost {} chunks without a reason", report->lost);
  });
}

void SimulatedWorker::fetch(size_t blob) {
  commands_++;
  uint64_t rate = scene_.choices.one_in(2) ? 0 : 1 << 20;
  objects_[blob]->complete(rate, [this](const Result<void>& result) {
    commands_--;
    scene_.judge.expect(result || dead_ || scene_.had_faults(), "fetch failed without a reason");
  });
}

void SimulatedWorker::save(bool clean) {
  for (auto& object : objects_) {
    commands_++;
    object->save(clean, [this](const Result<void>& saved) {
      commands_--;
      scene_.judge.expect(saved || dead_ || scene_.had_faults(), "presence cannot be saved: {}",
                          saved ? std::string() : saved.error().message);
    });
  }
}

void SimulatedWorker::save_changes() {
  if (dead_) return;
  for (auto& object : objects_)
    if (object->needs_save()) object->save(false, [](const Result<void>&) {});
  loop_.after_ms(kSaveIntervalMs, [this](int32_t) { save_changes(); });
}

// --- rest ---------------------------------------------------------------------------

bool SimulatedWorker::rests() const {
  size_t under_way = commands_ + memory_->used() + memory_->waiting() + loop_.file_operations();
  for (const SimulatedStorage& source : *sources_) under_way += source.under_way();
  // The one timer is that of the next save.
  return under_way == 0 && loop_.timers() <= 1 && backend_->pending() == 0;
}

void SimulatedWorker::check_rest() {
  size_t fetches = 0;
  for (const SimulatedStorage& source : *sources_) fetches += source.under_way();
  scene_.judge.expect(
      rests(),
      "at rest: {} requests pending, {} commands, {} bytes of memory used, {} waiting for it, {} "
      "fetches, {} file operations, {} timers",
      backend_->pending(), commands_, memory_->used(), memory_->waiting(), fetches, loop_.file_operations(),
      loop_.timers());
  const KernelCounters& counters = backend_->counters();
  scene_.judge.expect(counters.events + counters.orphans == counters.allowed + counters.denied,
                      "{} events and {} orphans, {} allowed, {} denied", counters.events, counters.orphans,
                      counters.allowed, counters.denied);
}

}  // namespace fscached
