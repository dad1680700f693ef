// `scrub`: everything that is there is read from the disk and verified.
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "erofs-format/base/log.h"
#include "fscached/control/operations.h"
#include "fscached/object/scrub.h"

namespace fscached {

namespace {

constexpr auto kSaveStep = std::chrono::milliseconds(5);
constexpr auto kProgressInterval = std::chrono::milliseconds(200);
constexpr std::string_view kPresenceSuffix = ".presence";

// Shared with the loop: a client that goes away does not end what it began.
struct Scrubbing {
  std::vector<std::shared_ptr<ScrubReport>> reports;
  size_t under_way = 0;
  uint64_t bytes = 0;
  std::set<std::string> presence;  // paths, of blobs in use
};

void start_all(Daemon& daemon, const std::shared_ptr<Scrubbing>& scrubbing) {
  scrubbing->under_way = daemon.objects().size();
  for (auto& [id, object] : daemon.objects()) {
    scrubbing->bytes += object->present_bytes();
    scrubbing->presence.insert(object->presence_path());
    scrubbing->reports.push_back(std::make_shared<ScrubReport>());
    scrub(object, scrubbing->reports.back(), [scrubbing] { scrubbing->under_way--; });
  }
}

ScrubReport sum_of(const Scrubbing& scrubbing) {
  ScrubReport sum;
  for (const auto& report : scrubbing.reports) {
    sum.chunks += report->chunks;
    sum.bytes += report->bytes;
    sum.repaired += report->repaired;
    sum.lost += report->lost;
    if (sum.problem.empty()) sum.problem = report->problem;
  }
  return sum;
}

// Nobody knows where the chunks of a blob lie while no image that uses it is mounted. Its presence is said to
// be unclean instead, so that each chunk is verified before it is served. Whatever a mount that comes in
// between writes, these claims were true once, and are verified.
Result<uint64_t> distrust_unused(Daemon& daemon, const std::set<std::string>& used) {
  uint64_t count = 0;
  std::error_code failed;
  std::filesystem::recursive_directory_iterator files(daemon.backend().presence_folder(), failed);
  for (const auto& entry : files) {
    if (entry.path().extension() != kPresenceSuffix || used.count(entry.path())) continue;
    std::optional<Presence> presence = load_presence(entry.path());
    if (!presence) continue;
    count++;
    if (!presence->clean) continue;
    TRY(extend_presence(entry.path(), {}));
  }
  return count;
}

}  // namespace

Result<json> scrub_cache(Daemon& daemon, const Progress& progress) {
  auto scrubbing = std::make_shared<Scrubbing>();
  daemon.on_loop<bool>([&] { return start_all(daemon, scrubbing), true; });
  // A blob that was let go just now is being called clean.
  while (daemon.on_loop<bool>([&] { return daemon.is_saving(); })) std::this_thread::sleep_for(kSaveStep);
  TRY_ASSIGN(uint64_t unused, distrust_unused(daemon, scrubbing->presence));
  ScrubReport sum;
  for (;;) {
    bool running = daemon.on_loop<bool>([&] {
      sum = sum_of(*scrubbing);
      return scrubbing->under_way > 0;
    });
    progress({{"bytes", scrubbing->bytes}, {"done_bytes", sum.bytes}});
    if (!running) break;
    std::this_thread::sleep_for(kProgressInterval);
  }
  return json{{"blobs", scrubbing->presence.size()},
              {"chunks", sum.chunks},
              {"bytes", sum.bytes},
              {"repaired", sum.repaired},
              {"lost", sum.lost},
              {"problem", sum.problem},
              {"unused_blobs", unused}};
}

}  // namespace fscached
