// Gets anonymous tokens for one repository: one request at a time, however many wait for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "erofs-format/registry/token.h"
#include "fscached/storage/exchange.h"

namespace fscached {

class TokenSource {
 public:
  using Done = std::function<void(std::optional<FetchFailure>)>;

  TokenSource(Loop& loop, CurlLoop& curl, const StorageOptions& options, StorageCounters& counters)
      : loop_(loop), curl_(curl), options_(options), counters_(counters) {}

  // For the Authorization header; empty when there is no token, or none that is still good.
  std::string authorization() const;
  // After `rejected`, an exchange answered with 401: gets another token. `done` runs later, or at
  // once when a newer token than the rejected request's is here already.
  void renew(const Exchange& rejected, Done done);

 private:
  void ask(const registry::Url& url, registry::Reach reach);
  void answered();
  void finish(const std::optional<FetchFailure>& failure);
  uint64_t now_ms() const { return loop_.now_ns() / 1'000'000; }

  Loop& loop_;
  CurlLoop& curl_;
  const StorageOptions& options_;
  StorageCounters& counters_;
  registry::TokenCache cache_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<Done> waiting_;
};

}  // namespace fscached
