#include "fscached/object/scrub.h"

namespace fscached {

namespace {

struct Scrub {
  std::shared_ptr<BlobObject> object;
  std::shared_ptr<ScrubReport> report;
  std::function<void()> done;
  std::vector<uint32_t> chunks;
  size_t next = 0;
};

void take_down(ScrubReport& report, uint64_t bytes, bool was_wrong, const Result<void>& now) {
  report.chunks++;
  report.bytes += bytes;
  if (!was_wrong && now) return;
  (now ? report.repaired : report.lost)++;
  if (!now && report.problem.empty()) report.problem = now.error().message;
}

void go_on(const std::shared_ptr<Scrub>& scrub) {
  while (scrub->next < scrub->chunks.size()) {
    uint32_t chunk = scrub->chunks[scrub->next++];
    uint64_t bytes = scrub->object->layout().chunk(chunk).uncompressed_size;
    auto checked = [scrub, bytes](bool was_wrong, const Result<void>& now) {
      take_down(*scrub->report, bytes, was_wrong, now);
      go_on(scrub);
    };
    if (scrub->object->recheck(chunk, checked)) return;
  }
  scrub->done();
}

}  // namespace

void scrub(const std::shared_ptr<BlobObject>& object, const std::shared_ptr<ScrubReport>& report,
           std::function<void()> done) {
  go_on(std::make_shared<Scrub>(Scrub{object, report, std::move(done), object->layout().known()}));
}

}  // namespace fscached
