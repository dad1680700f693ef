#include "fscached/storage/http_storage.h"

#include <unordered_map>

#include "fscached/storage/blob_name.h"
#include "fscached/storage/blob_read.h"

namespace fscached {
namespace {

class HttpStorage final : public Storage {
 public:
  HttpStorage(Loop& loop, std::unique_ptr<CurlLoop> curl, registry::Url base, std::string prefix,
              StorageCounters& counters, const StorageOptions& options)
      : options_(options),
        base_(std::move(base)),
        prefix_(std::move(prefix)),
        curl_(std::move(curl)),
        origin_{loop, *curl_, options_, counters} {
    origin_.random.seed(std::random_device{}());
  }
  void use_tokens() {
    origin_.tokens = std::make_unique<TokenSource>(origin_.loop, *curl_, options_, origin_.counters);
  }

  FetchId read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into, Done done) override;
  void cancel(FetchId id) override;
  void size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) override;
  std::string describe() const override { return base_.public_text(); }

 private:
  using Shared = std::shared_ptr<BlobRead>;
  // What is wrong with the id, if anything, is told by the read itself.
  Shared start(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into, Done done, FetchId* id);
  Result<registry::Url> url_of(const std::string& blob_id) const {
    TRY(check_blob_id(blob_id));
    return registry::join_url(base_, prefix_ + blob_id);
  }

  const StorageOptions options_;
  const registry::Url base_;
  const std::string prefix_;
  std::unique_ptr<CurlLoop> curl_;  // outlives all that transfers through it
  HttpOrigin origin_;
  std::unordered_map<FetchId, Shared> reads_;
  FetchId next_id_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

HttpStorage::Shared HttpStorage::start(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into,
                                       Done done, FetchId* id) {
  *id = next_id_++;
  Result<registry::Url> url = url_of(blob_id);
  if (!url) {
    origin_.counters.failures++;
    origin_.loop.after_ms(0, [alive = std::weak_ptr<bool>(alive_), done = std::move(done),
                              error = std::move(url).error()](int32_t) mutable {
      if (!alive.expired()) done(std::move(error));
    });
    return nullptr;
  }
  auto forget_and_tell = [this, fetch = *id, done = std::move(done)](Result<void> result) {
    auto keep = reads_.extract(fetch);  // the read that is calling us
    done(std::move(result));
  };
  auto read =
      std::make_shared<BlobRead>(origin_, std::move(*url), blob_id, offset, into, std::move(forget_and_tell));
  reads_.emplace(*id, read);
  read->start();
  return read;
}

Storage::FetchId HttpStorage::read(const std::string& blob_id, uint64_t offset, std::span<uint8_t> into,
                                   Done done) {
  FetchId id = 0;
  start(blob_id, offset, into, std::move(done), &id);
  return id;
}

void HttpStorage::cancel(FetchId id) {
  if (auto found = reads_.find(id); found != reads_.end()) found->second->cancel();
}

// A range of one byte and not HEAD: a signed redirect is often good for one method only.
void HttpStorage::size(const std::string& blob_id, std::function<void(Result<uint64_t>)> done) {
  auto byte = std::make_shared<uint8_t>();
  auto weak = std::make_shared<std::weak_ptr<BlobRead>>();
  FetchId id = 0;
  *weak = start(
      blob_id, 0, {byte.get(), 1},
      [byte, weak, done = std::move(done), where = base_.public_text()](Result<void> result) {
        Shared read = weak->lock();
        std::optional<uint64_t> total = read != nullptr ? read->total() : std::nullopt;
        if (total && (result || *total == 0)) return done(*total);  // of 0 bytes no range can be had
        if (!result) return done(std::move(result).error());
        done(make_error(Code::network, where + ": the server does not tell the blob's size"));
      },
      &id);
}

Result<std::unique_ptr<HttpStorage>> make(Loop& loop, const registry::Url& base, std::string prefix,
                                          StorageCounters& counters, const StorageOptions& options) {
  TRY_ASSIGN(std::unique_ptr<CurlLoop> curl, CurlLoop::create(loop));
  return std::make_unique<HttpStorage>(loop, std::move(curl), base, std::move(prefix), counters, options);
}

}  // namespace

Result<std::unique_ptr<Storage>> make_http_storage(Loop& loop, const registry::Url& base,
                                                   StorageCounters& counters, const StorageOptions& options) {
  TRY_ASSIGN(auto storage, make(loop, base, "", counters, options));
  return std::unique_ptr<Storage>(std::move(storage));
}

Result<std::unique_ptr<Storage>> make_registry_storage(Loop& loop, const registry::Repository& repository,
                                                       StorageCounters& counters,
                                                       const StorageOptions& options) {
  TRY_ASSIGN(auto storage, make(loop, repository.base, "blobs/sha256:", counters, options));
  storage->use_tokens();
  return std::unique_ptr<Storage>(std::move(storage));
}

}  // namespace fscached
