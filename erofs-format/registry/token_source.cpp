#include "erofs-format/registry/token_source.h"

#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/retry.h"

namespace erofs_format::registry {

std::string TokenSource::authorization() const {
  return cache_.expired(transport_.now_ms()) ? std::string() : cache_.authorization();
}

void TokenSource::renew(const Exchange& rejected, Done done) {
  std::string current = authorization();
  if (!current.empty() && current != rejected.request().authorization) return done(std::nullopt);
  waiting_.push_back(std::move(done));
  if (exchange_ != nullptr) return;
  cache_.forget();
  Result<Challenge> challenge = bearer_challenge(rejected.head().challenges);
  if (!challenge) return finish(FetchFailure{std::move(challenge).error()});
  Result<Url> url = token_url(rejected.request().url, rejected.reach(), *challenge);
  if (!url) return finish(FetchFailure{std::move(url).error()});
  ask(*url, rejected.reach());
}

void TokenSource::ask(const Url& url, Reach reach) {
  HttpRequest request;
  request.url = url;
  request.sent_from = reach;
  request.timeout_ms = options_.read_timeout_ms;
  exchange_ = std::make_unique<Exchange>(transport_, std::move(request), MutableBytes(), kMaxTokenBytes);
  counters_.requests++;
  Result<void> started = exchange_->start(options_, [this] { answered(); });
  if (!started) finish(FetchFailure{std::move(started).error()});
}

void TokenSource::answered() {
  std::optional<FetchFailure> failure = exchange_->failure();
  if (!failure && !exchange_->accepted()) failure = failure_of_status(exchange_->head());
  if (!failure) {
    Result<Token> token = parse_token(exchange_->text());
    if (token) {
      cache_.store(std::move(*token), transport_.now_ms());
    } else {
      failure = FetchFailure{std::move(token).error()};
    }
  }
  if (failure) {
    std::string object = "token from " + exchange_->request().url.public_text();
    failure->error = std::move(failure->error).within(object);
  }
  finish(failure);
}

void TokenSource::finish(const std::optional<FetchFailure>& failure) {
  exchange_.reset();
  std::vector<Done> waiting = std::move(waiting_);
  waiting_.clear();
  for (Done& done : waiting) done(failure);
}

}  // namespace erofs_format::registry
