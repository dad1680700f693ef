// One read over HTTP, of a range or of a whole document, from the first request to the last byte or an error:
// redirects by hand, a token when one is asked, repetitions with a growing pause, one deadline over all.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "erofs-format/registry/exchange.h"
#include "erofs-format/registry/redirect_memory.h"
#include "erofs-format/registry/token_source.h"

namespace erofs_format::registry {

// What the reads of one storage share.
struct HttpOrigin {
  Transport& transport;
  const HttpOptions& options;
  TransferCounters& counters;
  RedirectMemory redirects = {};
  std::minstd_rand random = {};
  std::unique_ptr<TokenSource> tokens = nullptr;  // registries only

  uint64_t now_ms() const { return transport.now_ms(); }
};

// What is read: a range of a blob, or a document (`into` is empty then, `text_limit` is not 0).
struct CallTarget {
  Url url;
  std::string blob_id = {};  // empty: no redirect is remembered
  uint64_t offset = 0;
  MutableBytes into = {};
  std::string accept = {};
  size_t text_limit = 0;
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
  const std::string& content_type() const { return content_type_; }

 private:
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
  const CallTarget target_;
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
  std::string content_type_;
  Transport::TimerId timer_ = 0;     // start, pause or end
  Transport::TimerId deadline_ = 0;  // of the whole call
};

}  // namespace erofs_format::registry
