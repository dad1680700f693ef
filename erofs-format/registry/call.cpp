#include "erofs-format/registry/call.h"

#include <fmt/format.h>

#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/redirect.h"
#include "erofs-format/registry/retry.h"

namespace erofs_format::registry {

Call::Call(HttpOrigin& origin, CallTarget target, Done done)
    : origin_(origin), transport_(origin.transport), target_(std::move(target)), done_(std::move(done)) {}

// The transport may be gone by now, since `done` may end it; then no timer is left.
Call::~Call() { stop_timers(); }

void Call::stop_timers() {
  for (Transport::TimerId* timer : {&timer_, &deadline_})
    if (*timer != 0) transport_.cancel_timer(std::exchange(*timer, 0));
}

std::string Call::name() const {
  if (target_.method != Method::get)
    return fmt::format("{} {}", to_string(target_.method), target_.url.public_text());
  if (target_.text_limit > 0) return target_.url.public_text();
  return fmt::format("{}: {} bytes at {}", target_.url.public_text(), target_.into.size(), target_.offset);
}

// What is sent may be long: the deadline allows for a slow line.
uint64_t Call::patience_ms() const {
  uint64_t sent = target_.body == nullptr ? 0 : target_.body->size;
  return origin_.options.read_timeout_ms + sent / kMinUploadSpeed * 1000;
}

void Call::start() {
  if (const std::string& ns = origin_.terms.ns; !ns.empty()) {
    Result<Url> asked = add_query(target_.url, "ns", ns);
    if (!asked) {
      timer_ = transport_.after_ms(
          0, [this, error = asked.error()]() mutable { finish(std::move(error).within(name())); });
      return;
    }
    target_.url = std::move(*asked);
  }
  deadline_ = transport_.after_ms(patience_ms(), [this] {
    finish(make_error(Code::timeout, fmt::format("{}: not done after {} ms ({} attempts, {} bytes)", name(),
                                                 patience_ms(), attempts_, got_)));
  });
  timer_ = transport_.after_ms(0, [this] {
    if (reads_range() && target_.into.empty()) return finish({});
    attempt();
  });
}

void Call::cancel() {
  exchange_.reset();
  stop_timers();
  timer_ =
      transport_.after_ms(0, [this] { finish(make_error(Code::cancelled, name() + ": read cancelled")); });
}

void Call::attempt() {
  attempts_++;
  hops_ = 0;
  std::optional<RedirectMemory::Target> known = origin_.redirects.find(target_.blob_id, origin_.now_ms());
  from_memory_ = known.has_value();
  url_ = known ? known->url : target_.url;
  sent_from_ = known ? std::optional(known->sent_from) : std::nullopt;
  send();
}

void Call::send() {
  HttpRequest request;
  request.method = target_.method;
  request.url = url_;
  request.body = target_.body;
  request.sent_from = sent_from_;
  if (reads_range()) request.range = ByteRange{target_.offset + got_, target_.into.size() - got_};
  request.accept = target_.accept;
  request.timeout_ms = patience_ms();
  if (url_.origin() == target_.url.origin()) request.terms = &origin_.terms;
  // A token belongs to the registry's origin and goes nowhere else.
  if (origin_.tokens != nullptr && origin_.tokens->serves(url_))
    request.authorization = origin_.tokens->authorization();
  exchange_ = std::make_unique<Exchange>(origin_.transport, std::move(request), target_.into.subspan(got_),
                                         target_.text_limit);
  origin_.counters.requests++;
  Result<void> started = exchange_->start(origin_.options, [this] { answered(); });
  if (!started) failed({std::move(started).error()});
}

void Call::answered() {
  got_ += exchange_->received();
  origin_.counters.bytes += exchange_->received();
  const ResponseHead& head = exchange_->head();
  if (exchange_->failure()) {
    FetchFailure failure = *exchange_->failure();
    if (from_memory_ && !failure.retryable) liar_ = {url_.origin(), failure};
    if (!back_to_origin()) failed(std::move(failure));
    return;
  }
  learn(head);
  if (exchange_->accepted()) return finish({});
  if (is_redirect(head.status)) return follow(head);
  FetchFailure failure = failure_of_status(head);
  if (back_to_origin()) return;
  if (head.status == 401 && hops_ == 0 && origin_.tokens != nullptr && origin_.tokens->serves(url_))
    return authorize();
  failed(std::move(failure));
}

void Call::learn(const ResponseHead& head) {
  if (head.content_range && head.content_range->total) total_ = head.content_range->total;
  if (head.status == 200) total_ = head.content_length;
  if (!exchange_->accepted()) return;
  text_ = exchange_->text();
  head_ = head;
  reach_ = sent_from_.value_or(exchange_->reach());
}

// A remembered target that fails has run out, most likely: ask the origin again, in the same attempt.
bool Call::back_to_origin() {
  if (!from_memory_) return false;
  origin_.redirects.forget(target_.blob_id);
  from_memory_ = false;
  hops_ = 0;
  url_ = target_.url;
  sent_from_.reset();
  send();
  return true;
}

void Call::follow(const ResponseHead& head) {
  if (target_.body != nullptr && head.status != 307 && head.status != 308)
    return failed({make_error(Code::network, fmt::format("an upload was redirected with {}", head.status))});
  if (++hops_ > kMaxRedirects)
    return failed({make_error(Code::network, fmt::format("more than {} redirects", kMaxRedirects))});
  Reach reach = sent_from_.value_or(exchange_->reach());
  Result<Url> target = redirect_target(url_, reach, head.location);
  if (!target) return failed({std::move(target).error()});
  // What proved wrong is not asked again by the same read.
  if (liar_ && target->origin() == liar_->origin) return failed(liar_->failure);
  url_ = std::move(*target);
  sent_from_ = reach;
  send();
}

// Twice: a token may run out under way, and the second is fresh for certain.
void Call::authorize() {
  if (tokens_asked_++ == kMaxTokensPerRead)
    return failed({make_error(Code::auth, "the server answered 401 to a fresh token")});
  std::weak_ptr<Call> self = weak_from_this();
  origin_.tokens->renew(*exchange_, [self](std::optional<FetchFailure> failure) {
    std::shared_ptr<Call> read = self.lock();
    if (read == nullptr || !read->done_) return;
    if (failure) return read->failed(std::move(*failure));
    read->send();
  });
}

void Call::failed(FetchFailure failure) {
  std::optional<uint64_t> pause;
  if (failure.retryable && attempts_ < target_.attempts) {
    pause =
        backoff_ms(attempts_ + 1, origin_.options.backoff_first_ms, origin_.random(), failure.retry_after_s);
  }
  if (!pause) {
    may_pass_ = failure.retryable;
    std::string attempts = attempts_ > 1 ? fmt::format(" ({} attempts)", attempts_) : "";
    failure.error.message += attempts;
    return finish(std::move(failure.error).within(name()));
  }
  exchange_.reset();
  timer_ = transport_.after_ms(*pause, [this] { attempt(); });
}

// The caller's `done` may destroy the storage, and this object with it.
void Call::finish(Result<void> result) {
  if (!done_) return;
  if (result && hops_ > 0 && !target_.blob_id.empty()) {
    Reach from = sent_from_.value_or(Reach::network);
    origin_.redirects.remember(target_.blob_id, {url_, from}, origin_.now_ms());
  }
  if (!result) origin_.counters.failures++;
  exchange_.reset();
  stop_timers();
  Done done = std::move(done_);
  done_ = nullptr;
  done(std::move(result));
}

}  // namespace erofs_format::registry
