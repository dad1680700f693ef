#include "fscached/storage/mirrored_storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "erofs-format/base/log.h"

namespace fscached {
namespace {

class MirroredStorage final : public Storage {
 public:
  MirroredStorage(Loop& loop, std::vector<std::unique_ptr<Storage>> places) : loop_(loop) {
    for (auto& storage : places) places_.push_back({std::move(storage)});
  }

  FetchId read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into, Done done) override;
  void cancel(FetchId id) override;
  void size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) override {
    size_at(first_from(0), blob_id, std::move(done));
  }
  std::string describe() const override { return places_.back().storage->describe(); }

 private:
  struct Place {
    std::unique_ptr<Storage> storage;
    unsigned failures = 0;  // in a row
    uint64_t shunned_until_ns = 0;
  };
  struct Read {
    std::string blob_id;
    uint64_t offset = 0;
    std::span<uint8_t> into;
    Done done;
    size_t at = 0;
    FetchId id = 0;  // at that place
  };

  // The first place from `at` on that is not shunned.
  size_t first_from(size_t at) const;
  void start(FetchId id);
  void ended(FetchId id, Result<void> result);
  void size_at(size_t at, const std::string& blob_id, std::function<void(Result<uint64_t>)> done);
  // Whether the next place is to be asked, after `error` (none: it went well) from this one.
  bool failed_over(size_t at, const Error* error);

  Loop& loop_;
  std::unordered_map<FetchId, Read> reads_;
  FetchId next_id_ = 1;
  std::vector<Place> places_;  // ends first, so that no read calls back
};

size_t MirroredStorage::first_from(size_t at) const {
  while (at + 1 < places_.size() && loop_.now_ns() < places_[at].shunned_until_ns) at++;
  return at;
}

Storage::FetchId MirroredStorage::read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into,
                                       Done done) {
  FetchId id = next_id_++;
  reads_[id] = {blob_id, offset, into, std::move(done), first_from(0)};
  start(id);
  return id;
}

void MirroredStorage::start(FetchId id) {
  Read& read = reads_.at(id);
  read.id = places_[read.at].storage->read(read.blob_id, read.offset, read.into,
                                           [this, id](Result<void> result) { ended(id, std::move(result)); });
}

void MirroredStorage::ended(FetchId id, Result<void> result) {
  Read& read = reads_.at(id);
  if (failed_over(read.at, result ? nullptr : &result.error())) {
    read.at = first_from(read.at + 1);
    return start(id);
  }
  Done done = std::move(read.done);
  reads_.erase(id);
  done(std::move(result));
}

void MirroredStorage::cancel(FetchId id) {
  auto found = reads_.find(id);
  if (found != reads_.end()) places_[found->second.at].storage->cancel(found->second.id);
}

void MirroredStorage::size_at(size_t at, const std::string& blob_id,
                              std::function<void(Result<uint64_t>)> done) {
  places_[at].storage->size(blob_id, [this, at, blob_id, done = std::move(done)](Result<uint64_t> size) {
    if (failed_over(at, size ? nullptr : &size.error())) return size_at(first_from(at + 1), blob_id, done);
    done(std::move(size));
  });
}

bool MirroredStorage::failed_over(size_t at, const Error* error) {
  Place& place = places_[at];
  if (error == nullptr) place.failures = 0;
  if (error == nullptr || error->code == Code::cancelled || at + 1 == places_.size()) return false;
  // Many reads may be under way when a server dies: that is one failure.
  if (error->code == Code::not_found || loop_.now_ns() < place.shunned_until_ns) return true;
  uint64_t pause_ms = std::min(kShunFirstMs << std::min(place.failures++, 16u), kShunMaxMs);
  place.shunned_until_ns = loop_.now_ns() + pause_ms * 1'000'000;
  log_line(LogLevel::warn, "mirror",
           fmt::format("{}; not asked again for {} s", error->message, pause_ms / 1000));
  return true;
}

}  // namespace

std::unique_ptr<Storage> make_mirrored_storage(Loop& loop, std::vector<std::unique_ptr<Storage>> places) {
  return std::make_unique<MirroredStorage>(loop, std::move(places));
}

}  // namespace fscached
