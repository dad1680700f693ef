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

  // `origin`: the registry's own, which alone sees a token.
  TokenSource(std::string origin, Transport& transport, const HttpOptions& options,
              TransferCounters& counters)
      : origin_(std::move(origin)), transport_(transport), options_(options), counters_(counters) {}

  bool serves(const Url& url) const { return url.origin() == origin_; }
  // For the Authorization header; empty when there is no token, or none that is still good.
  std::string authorization() const;
  // After `rejected`, an exchange answered with 401: gets another token. `done` runs later, or at
  // once when a newer token than the rejected request's is here already.
  void renew(const Exchange& rejected, Done done);

 private:
  void ask(const Url& url, Reach reach);
  void answered();
  void finish(const std::optional<FetchFailure>& failure);

  const std::string origin_;
  Transport& transport_;
  const HttpOptions& options_;
  TransferCounters& counters_;
  TokenCache cache_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<Done> waiting_;
};

}  // namespace erofs_format::registry
