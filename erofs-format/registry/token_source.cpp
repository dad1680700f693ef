#include "erofs-format/registry/token_source.h"

#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/requests.h"
#include "erofs-format/registry/retry.h"

namespace erofs_format::registry {

TokenSource::TokenSource(std::string origin, Credential credential, Transport& transport,
                         const HttpOptions& options, const OriginOptions& terms, TransferCounters& counters)
    : origin_(std::move(origin)),
      credential_(std::move(credential)),
      transport_(transport),
      options_(options),
      terms_(terms),
      counters_(counters) {}

std::string TokenSource::authorization() const {
  if (!fixed_.empty()) return fixed_;
  return cache_.expired(transport_.now_ms()) ? std::string() : cache_.authorization();
}

void TokenSource::renew(const Exchange& rejected, Done done) {
  std::string current = authorization();
  if (!current.empty() && current != rejected.request().authorization) return done(std::nullopt);
  waiting_.push_back(std::move(done));
  if (exchange_ != nullptr) return;
  cache_.forget();
  bool wait = false;
  Result<void> result = answer(rejected, wait);
  if (!result) return finish(FetchFailure{std::move(result).error()});
  if (!wait) finish(std::nullopt);
}

// `wait`: a token is under way.
Result<void> TokenSource::answer(const Exchange& rejected, bool& wait) {
  // Said once; whoever asks the next time begins anew.
  if (!std::exchange(fixed_, "").empty())
    return make_error(Code::auth, "the server does not accept the credentials for it");
  TRY_ASSIGN(Challenge challenge, choose_challenge(rejected.head().challenges, credential_.has_password()));
  if (challenge.scheme == "basic") {
    fixed_ = credential_.basic();
  } else if (!credential_.registry_token.empty()) {
    fixed_ = "Bearer " + credential_.registry_token;
  } else {
    wait = true;
    return ask(rejected, challenge);
  }
  return {};
}

Result<void> TokenSource::ask(const Exchange& rejected, const Challenge& challenge) {
  HttpRequest request;
  if (!credential_.identity_token.empty()) {
    TRY_ASSIGN(request.url, token_service(rejected.request().url, rejected.reach(), challenge));
    request.method = Method::post;
    std::string form = token_form(challenge, credential_.identity_token);
    request.body = body_of_bytes(as_bytes(form), "application/x-www-form-urlencoded");
  } else {
    TRY_ASSIGN(request.url, token_url(rejected.request().url, rejected.reach(), challenge));
    if (credential_.has_password()) {
      TRY_ASSIGN(request.url, add_query(request.url, "account", credential_.user));
      request.authorization = credential_.basic();
    }
  }
  if (serves(request.url)) request.terms = &terms_;
  request.sent_from = rejected.reach();
  request.timeout_ms = options_.read_timeout_ms;
  exchange_ = std::make_unique<Exchange>(transport_, std::move(request), MutableBytes(), kMaxTokenBytes);
  counters_.requests++;
  return exchange_->start(options_, [this] { answered(); });
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
