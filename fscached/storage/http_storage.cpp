#include "fscached/storage/http_storage.h"

#include <unordered_map>

#include "erofs-format/registry/call.h"
#include "fscached/storage/blob_name.h"
#include "fscached/storage/curl_loop.h"

namespace fscached {
namespace {

class HttpStorage final : public Storage {
 public:
  HttpStorage(std::unique_ptr<CurlLoop> curl, registry::Url base, std::string prefix,
              StorageCounters& counters, const StorageOptions& options)
      : options_(options),
        base_(std::move(base)),
        prefix_(std::move(prefix)),
        curl_(std::move(curl)),
        origin_{*curl_, options_, counters} {
    origin_.random.seed(std::random_device{}());
  }
  void be_registry(registry::OriginOptions terms, registry::Credential credential, unsigned attempts) {
    attempts_ = attempts;
    origin_.terms = std::move(terms);
    origin_.tokens = std::make_unique<registry::TokenSource>(base_.origin(), std::move(credential), *curl_,
                                                             options_, origin_.terms, origin_.counters);
  }

  FetchId read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into, Done done) override;
  void cancel(FetchId id) override;
  void size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) override;
  std::string describe() const override { return base_.public_text(); }

 private:
  using Shared = std::shared_ptr<registry::Call>;
  // `done` learns which read it was: null when there was none, because the target is an error.
  using ReadDone = std::function<void(const registry::Call*, Result<void>)>;
  FetchId start(Result<registry::CallTarget> target, ReadDone done);
  Result<registry::CallTarget> blob(const std::string& blob_id, uint64_t offset,
                                    std::span<uint8_t> into) const;

  const StorageOptions options_;
  const registry::Url base_;
  const std::string prefix_;
  std::unique_ptr<CurlLoop> curl_;  // outlives all that transfers through it
  registry::HttpOrigin origin_;
  std::unordered_map<FetchId, Shared> reads_;
  FetchId next_id_ = 1;
  unsigned attempts_ = registry::kMaxAttempts;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

Result<registry::CallTarget> HttpStorage::blob(const std::string& blob_id, uint64_t offset,
                                               std::span<uint8_t> into) const {
  TRY(check_blob_id(blob_id));
  TRY_ASSIGN(registry::Url url, registry::join_url(base_, prefix_ + blob_id));
  registry::CallTarget target;
  target.url = std::move(url);
  target.blob_id = blob_id;
  target.offset = offset;
  target.into = into;
  target.attempts = attempts_;
  return target;
}

Storage::FetchId HttpStorage::start(Result<registry::CallTarget> target, ReadDone done) {
  FetchId id = next_id_++;
  if (!target) {
    origin_.counters.failures++;
    curl_->after_ms(0, [alive = std::weak_ptr<bool>(alive_), done = std::move(done),
                        error = std::move(target).error()]() mutable {
      if (!alive.expired()) done(nullptr, std::move(error));
    });
    return id;
  }
  auto forget_and_tell = [this, id, done = std::move(done)](Result<void> result) {
    auto keep = reads_.extract(id);  // the read that is calling us
    done(keep.mapped().get(), std::move(result));
  };
  auto read = std::make_shared<registry::Call>(origin_, std::move(*target), std::move(forget_and_tell));
  reads_.emplace(id, read);
  read->start();
  return id;
}

Storage::FetchId HttpStorage::read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into,
                                   Done done) {
  return start(
      blob(blob_id, offset, into),
      [done = std::move(done)](const registry::Call*, Result<void> result) { done(std::move(result)); });
}

void HttpStorage::cancel(FetchId id) {
  if (auto found = reads_.find(id); found != reads_.end()) found->second->cancel();
}

// A range of one byte and not HEAD: a signed redirect is often good for one method only.
void HttpStorage::size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) {
  auto byte = std::make_shared<uint8_t>();
  start(blob(blob_id, 0, {byte.get(), 1}), [byte, done = std::move(done), where = base_.public_text()](
                                               const registry::Call* read, Result<void> result) {
    std::optional<uint64_t> total = read != nullptr ? read->total() : std::nullopt;
    if (total && (result || *total == 0)) return done(*total);  // of 0 bytes no range can be had
    if (!result) return done(std::move(result).error());
    done(make_error(Code::network, where + ": the server does not tell the blob's size"));
  });
}

Result<std::unique_ptr<HttpStorage>> make(Loop& loop, const registry::Url& base, std::string prefix,
                                          StorageCounters& counters, const StorageOptions& options) {
  TRY_ASSIGN(std::unique_ptr<CurlLoop> curl, CurlLoop::create(loop));
  return std::make_unique<HttpStorage>(std::move(curl), base, std::move(prefix), counters, options);
}

}  // namespace

Result<std::unique_ptr<Storage>> make_http_storage(Loop& loop, const registry::Url& base,
                                                   StorageCounters& counters, const StorageOptions& options) {
  TRY_ASSIGN(auto storage, make(loop, base, "", counters, options));
  return std::unique_ptr<Storage>(std::move(storage));
}

Result<std::vector<KnownPlace>> find_places(const std::string& where, const StorageOptions& options) {
  auto plain = options.plain_http ? registry::PlainHttp::allowed : registry::PlainHttp::loopback_only;
  TRY_ASSIGN(registry::Repository repository, registry::parse_repository(where, plain));
  TRY_ASSIGN(registry::HostsFile hosts, registry::find_hosts_file(options.hosts_folder, repository.host));
  TRY_ASSIGN(auto places, registry::places_of(repository, hosts));
  std::vector<KnownPlace> known;
  for (registry::Place& place : places) {
    registry::Credential credential;
    if (options.credential) {
      TRY_ASSIGN(credential, options.credential(place.repository.host, place.repository.name));
    }
    known.push_back({std::move(place), std::move(credential)});
  }
  return known;
}

Result<std::unique_ptr<Storage>> make_registry_storage(Loop& loop, KnownPlace place, unsigned attempts,
                                                       StorageCounters& counters,
                                                       const StorageOptions& options) {
  TRY_ASSIGN(auto storage, make(loop, place.repository.base, "blobs/sha256:", counters, options));
  storage->be_registry(std::move(place.terms), std::move(place.credential), attempts);
  return std::unique_ptr<Storage>(std::move(storage));
}

}  // namespace fscached
