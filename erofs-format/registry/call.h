// One request of ours, whatever it takes: a range, a whole document, or something sent. From the first byte
// to the last or an error: redirects by hand, a token when one is asked, repetitions with a growing pause,
// one deadline over all.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "erofs-format/registry/exchange.h"
#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/redirect_memory.h"
#include "erofs-format/registry/token_source.h"

namespace erofs_format::registry {

// What the calls of one server or repository share.
struct HttpOrigin {
  Transport& transport;
  const HttpOptions& options;
  TransferCounters& counters;
  RedirectMemory redirects = {};
  std::minstd_rand random = {};
  std::unique_ptr<TokenSource> tokens = nullptr;  // registries only
  OriginOptions terms = {};

  uint64_t now_ms() const { return transport.now_ms(); }
};

// What is asked: with GET a range of a blob, or a document (`into` is empty then, `text_limit` is not 0).
struct CallTarget {
  Method method = Method::get;
  Url url;
  std::string blob_id = {};  // empty: no redirect is remembered
  uint64_t offset = 0;
  MutableBytes into = {};
  std::string accept = {};
  size_t text_limit = 0;
  std::shared_ptr<const RequestBody> body = nullptr;
  unsigned attempts = kMaxAttempts;  // in all; fewer for what cannot be sent twice
};

class Call : public std::enable_shared_from_this<Call> {
 public:
  using Done = std::function<void(Result<void>)>;

  Call(HttpOrigin& origin, CallTarget target, Done done);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // `done` runs later, once.
  void start();
  // Ends it with Code::cancelled; `done` runs later.
  void cancel();
  // The blob's size, when an answer told it.
  std::optional<uint64_t> total() const { return total_; }
  // Of a document that was read.
  const std::string& text() const { return text_; }
  // Of a failure: whether the same call could succeed another time.
  bool may_pass() const { return may_pass_; }
  // Of the answer that was accepted.
  const ResponseHead& head() const { return head_; }
  const Url& answered_by() const { return url_; }
  Reach reach() const { return reach_; }

 private:
  bool reads_range() const { return target_.method == Method::get && target_.text_limit == 0; }
  uint64_t patience_ms() const;
  void attempt();
  void send();
  void answered();
  void learn(const ResponseHead& head);
  void follow(const ResponseHead& head);
  void authorize();
  bool back_to_origin();
  void failed(FetchFailure failure);
  void finish(Result<void> result);
  void stop_timers();
  std::string name() const;

  HttpOrigin& origin_;
  Transport& transport_;
  CallTarget target_;
  Done done_;

  size_t got_ = 0;
  unsigned attempts_ = 0;
  unsigned tokens_asked_ = 0;
  unsigned hops_ = 0;
  bool from_memory_ = false;  // the URL is a remembered redirect
  Url url_;
  // A remembered server whose answer was no answer to what was asked.
  struct Liar {
    std::string origin;
    FetchFailure failure;
  };
  std::optional<Liar> liar_;
  std::optional<Reach> sent_from_;
  std::unique_ptr<Exchange> exchange_;
  std::optional<uint64_t> total_;
  std::string text_;
  bool may_pass_ = false;
  ResponseHead head_;
  Reach reach_ = Reach::network;
  Transport::TimerId timer_ = 0;     // start, pause or end
  Transport::TimerId deadline_ = 0;  // of the whole call
};

}  // namespace erofs_format::registry
