// What a repository wants to see in the Authorization header: a bearer token, got from its token service as
// somebody or as nobody, or user name and password. One request for a token at a time, however many wait for
// it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "erofs-format/registry/credentials.h"
#include "erofs-format/registry/exchange.h"
#include "erofs-format/registry/token.h"

namespace erofs_format::registry {

class TokenSource {
 public:
  using Done = std::function<void(std::optional<FetchFailure>)>;

  // `origin`: the registry's own, which alone sees what is kept here. `credential`: empty = nobody.
  TokenSource(std::string origin, Credential credential, Transport& transport, const HttpOptions& options,
              const OriginOptions& terms, TransferCounters& counters);

  bool serves(const Url& url) const { return url.origin() == origin_; }
  // For the Authorization header; empty until the registry has asked, and when a token has run out.
  std::string authorization() const;
  // After `rejected`, an exchange answered with 401: gets another token. `done` runs later, or at
  // once when there is something newer than the rejected request had.
  void renew(const Exchange& rejected, Done done);

 private:
  Result<void> answer(const Exchange& rejected, bool& wait);
  Result<void> ask(const Exchange& rejected, const Challenge& challenge);
  void answered();
  void finish(const std::optional<FetchFailure>& failure);

  const std::string origin_;
  const Credential credential_;
  Transport& transport_;
  const HttpOptions& options_;
  const OriginOptions& terms_;  // of the origin
  TransferCounters& counters_;
  std::string fixed_;  // what is no token that runs out
  TokenCache cache_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<Done> waiting_;
};

}  // namespace erofs_format::registry
