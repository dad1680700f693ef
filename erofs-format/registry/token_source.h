// Gets anonymous tokens for one repository: one request at a time, however many wait for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "erofs-format/registry/exchange.h"
#include "erofs-format/registry/token.h"

namespace erofs_format::registry {

class TokenSource {
 public:
  using Done = std::function<void(std::optional<FetchFailure>)>;

  TokenSource(Transport& transport, const HttpOptions& options, TransferCounters& counters)
      : transport_(transport), options_(options), counters_(counters) {}

  // For the Authorization header; empty when there is no token, or none that is still good.
  std::string authorization() const;
  // After `rejected`, an exchange answered with 401: gets another token. `done` runs later, or at
  // once when a newer token than the rejected request's is here already.
  void renew(const Exchange& rejected, Done done);

 private:
  void ask(const Url& url, Reach reach);
  void answered();
  void finish(const std::optional<FetchFailure>& failure);

  Transport& transport_;
  const HttpOptions& options_;
  TransferCounters& counters_;
  TokenCache cache_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<Done> waiting_;
};

}  // namespace erofs_format::registry
