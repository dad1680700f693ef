#include "erofs-format/registry/exchange.h"

#include <fmt/format.h>

#include <cstring>

#include "erofs-format/registry/limits.h"

namespace erofs_format::registry {

Exchange::Exchange(Transport& transport, HttpRequest request, MutableBytes into, size_t text_limit)
    : transport_(transport), request_(std::move(request)), into_(into), text_limit_(text_limit) {}

Exchange::~Exchange() {
  if (easy_ == nullptr) return;
  transport_.stop(easy_);
  transport_.release(easy_);
}

Result<void> Exchange::start(const HttpOptions& options, std::function<void()> done) {
  easy_ = transport_.acquire();
  if (easy_ == nullptr) return make_error(Code::internal, "libcurl: out of memory");
  done_ = std::move(done);
  hooks_.on_header = on_header;
  hooks_.on_body = on_body;
  hooks_.user = this;
  TRY(apply_http_policy(easy_, request_, options, hooks_));
  return transport_.start(easy_, [this](CURLcode code) { finish(code); });
}

size_t Exchange::on_header(char* data, size_t size, size_t count, void* self) {
  size_t bytes = size * count;
  return static_cast<Exchange*>(self)->take_header_line({data, bytes}) ? bytes : 0;
}

size_t Exchange::on_body(char* data, size_t size, size_t count, void* self) {
  size_t bytes = size * count;
  // Any other number than `bytes` ends the transfer; 0 would not when `bytes` is 0.
  return static_cast<Exchange*>(self)->take_body(as_bytes({data, bytes})) ? bytes : bytes + 1;
}

// False: end the transfer.
bool Exchange::fail(Error error) {
  if (!failure_) failure_ = FetchFailure{std::move(error)};
  return false;
}

// Trailers of a chunked body come here as well, behind the head; they count against the same limit.
bool Exchange::take_header_line(std::string_view line) {
  if (head_bytes_.size() + line.size() > kMaxResponseHeadBytes)
    return fail(make_error(Code::too_large,
                           fmt::format("response head longer than {} bytes", kMaxResponseHeadBytes)));
  head_bytes_ += line;
  return head_complete_ || line != "\r\n" || judge_head();
}

bool Exchange::judge_head() {
  Result<ResponseHead> head = parse_response_head(as_bytes(head_bytes_));
  if (!head) return fail(std::move(head).error());
  if (head->status < 200) {  // "100 Continue" and its kin: the real head follows
    head_bytes_.clear();
    return true;
  }
  head_complete_ = true;
  head_ = std::move(*head);
  if (request_.method != Method::get) {
    accepted_ = head_.status < 300;
    return true;
  }
  if (head_.status != 200 && head_.status != 206) return true;
  if (head_.encoded) return fail(make_error(Code::corrupt, "the answer has a Content-Encoding"));
  if (request_.range) {
    if (Result<void> range = judge_range(); !range) return fail(std::move(range).error());
  } else if (head_.status != 200) {
    return fail(make_error(Code::corrupt, "206 without a range asked"));
  }
  accepted_ = true;
  return true;
}

// A 200 is right only when it is the whole blob and the whole blob was asked.
Result<void> Exchange::judge_range() const {
  auto wrong = [](std::string what) { return make_error(Code::corrupt, std::move(what)); };
  uint64_t first = request_.range->offset, size = into_.size();
  if (head_.status == 200) {
    if (first == 0 && head_.content_length == size) return {};
    return wrong(fmt::format("answered 200 with {} bytes to a range",
                             head_.content_length ? std::to_string(*head_.content_length) : "unknown"));
  }
  if (!head_.content_range || !head_.content_range->span) return wrong("206 without a Content-Range");
  const ContentRange::Span& span = *head_.content_range->span;
  if (span.first != first || span.last - span.first != size - 1)
    return wrong(fmt::format("Content-Range is {}-{}", span.first, span.last));
  if (head_.content_length && *head_.content_length != size)
    return wrong(fmt::format("206 with Content-Length {}", *head_.content_length));
  return {};
}

bool Exchange::take_body(ByteView bytes) {
  if (!head_complete_) return fail(make_error(Code::corrupt, "a body without a response head"));
  if (!accepted_ || (!request_.range && text_limit_ == 0)) {
    // An error page, or what a server has to say about an upload. Short ones are read to the end, so that the
    // connection stays usable.
    discarded_ += bytes.size();
    return discarded_ <= kMaxErrorBodyBytes;
  }
  if (request_.range) {
    if (bytes.size() > into_.size() - received_)
      return fail(make_error(Code::corrupt, fmt::format("more than the {} bytes asked", into_.size())));
    std::memcpy(into_.data() + received_, bytes.data(), bytes.size());
    received_ += bytes.size();
    return true;
  }
  if (bytes.size() > text_limit_ - text_.size())
    return fail(make_error(Code::too_large, fmt::format("answer longer than {} bytes", text_limit_)));
  text_ += as_text(bytes);
  return true;
}

void Exchange::finish(CURLcode code) {
  // With a head that says why not, it does not matter how the error page ended.
  bool refused_well = head_complete_ && !accepted_;
  if (!failure_ && code != CURLE_OK && !refused_well) {
    TransferFailure failure = describe_failure(code, hooks_);
    failure_ = FetchFailure{make_error(failure.code, std::move(failure.what)), failure.retryable};
  }
  if (!failure_ && !head_complete_) {
    failure_ = FetchFailure{make_error(Code::network, "no response head"), true};
  }
  if (!failure_ && accepted_ && request_.range && received_ < into_.size()) {
    std::string what = fmt::format("ended after {} of {} bytes", received_, into_.size());
    failure_ = FetchFailure{make_error(Code::network, std::move(what)), true};
  }
  std::function<void()> done = std::move(done_);
  done();
}

}  // namespace erofs_format::registry
