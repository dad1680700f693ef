#include "erofs-format/registry/repository_client.h"

#include <chrono>

#include "erofs-format/image/manifest.h"
#include "erofs-format/registry/blob_source.h"
#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/retry.h"

namespace erofs_format::registry {

RepositoryClient::RepositoryClient(CurlThread& thread, Repository repository, Credential credential,
                                   HttpOptions options, OriginOptions terms)
    : thread_(thread),
      repository_(std::move(repository)),
      options_(std::move(options)),
      origin_{thread_, options_, counters_} {
  origin_.random.seed(std::random_device{}());
  origin_.terms = std::move(terms);
  origin_.tokens = std::make_unique<TokenSource>(repository_.base.origin(), std::move(credential), thread_,
                                                 options_, origin_.terms, counters_);
}

RepositoryClient::~RepositoryClient() {
  thread_.run([this] {
    calls_.clear();
    origin_.tokens.reset();
  });
}

RepositoryClient::CallId RepositoryClient::start(CallTarget target, Done done) {
  CallId id = next_id_++;
  thread_.post([this, id, target = std::move(target), done = std::move(done)]() mutable {
    auto finished = [this, id, done = std::move(done)](Result<void> result) {
      std::shared_ptr<Call> call = calls_.extract(id).mapped();  // which is calling us
      if (!result) return done(std::move(result).error(), call->may_pass());
      done(Answer{call->head(), call->text(), call->answered_by(), call->reach(), call->total()}, false);
    };
    auto call = std::make_shared<Call>(origin_, std::move(target), std::move(finished));
    calls_.emplace(id, call);
    call->start();
  });
  return id;
}

void RepositoryClient::cancel(CallId id) {
  thread_.post([this, id] {
    if (auto found = calls_.find(id); found != calls_.end()) found->second->cancel();
  });
}

RepositoryClient::Outcome RepositoryClient::call(CallTarget target) {
  auto outcome = std::make_shared<std::promise<Outcome>>();
  std::future<Outcome> future = outcome->get_future();
  start(std::move(target), [outcome](Result<Answer> answer, bool may_pass) {
    outcome->set_value({std::move(answer), may_pass});
  });
  return future.get();
}

Result<Document> RepositoryClient::document(const std::string& reference) {
  TRY_ASSIGN(CallTarget target, get_document(repository_.base, reference));
  TRY_ASSIGN(Answer answer, call(std::move(target)).answer);
  std::string actual = digest_text(sha256(as_bytes(answer.text)));
  const std::string& said = answer.head.content_digest;
  if (said.starts_with("sha256:") && said != actual)
    return make_error(Code::digest_mismatch, answer.url.public_text() + ": content is " + actual +
                                                 ", not what the server says it is");
  return Document{std::move(answer.head.content_type), std::move(answer.text)};
}

Result<std::optional<Document>> RepositoryClient::referrers(const Digest& subject) {
  TRY_ASSIGN(CallTarget target, get_referrers(repository_.base, subject));
  Result<Answer> answer = call(std::move(target)).answer;
  // A server that knows no such path may say so, or answer with a page for people.
  if (answer && is_index_type(answer->head.content_type))
    return std::optional(Document{std::move(answer->head.content_type), std::move(answer->text)});
  if (!answer && answer.error().code != Code::not_found) return std::move(answer).error();
  Result<Document> tagged = document(referrers_tag(subject));
  if (tagged && is_index_type(tagged->media_type)) return std::optional(std::move(*tagged));
  if (!tagged && tagged.error().code != Code::not_found) return std::move(tagged).error();
  return std::optional<Document>();
}

Result<std::vector<std::string>> RepositoryClient::tags() {
  TRY_ASSIGN(CallTarget target, get_tags(repository_.base));
  std::string name = target.url.public_text();
  TRY_ASSIGN(Answer answer, call(std::move(target)).answer);
  return parse_tags(as_bytes(answer.text), name);
}

std::unique_ptr<ByteSource> RepositoryClient::open_blob(const Digest& digest, uint64_t size,
                                                        uint64_t offset) {
  return make_blob_source(*this, digest, size, offset);
}

Result<uint64_t> RepositoryClient::blob_size(const Digest& digest) {
  CallTarget target;
  target.method = Method::head;
  TRY_ASSIGN(target.url, blob_url(repository_.base, digest));
  std::string name = target.url.public_text();
  TRY_ASSIGN(Answer answer, call(std::move(target)).answer);
  if (answer.head.content_length) return *answer.head.content_length;
  return make_error(Code::network, name + ": the server does not tell the blob's size");
}

Result<CallTarget> RepositoryClient::upload_step(const Upload& upload,
                                                 const std::shared_ptr<const RequestBody>& blob) const {
  CallTarget target;
  target.method = upload.method();
  TRY_ASSIGN(target.url, upload.url());
  if (upload.step() == Upload::Step::send) {
    target.body = blob;
    target.attempts = 1;  // the server may have a part of it: the next attempt begins with a new upload
  }
  return target;
}

Result<bool> RepositoryClient::push_blob(const Digest& digest,
                                         const std::shared_ptr<const RequestBody>& blob) {
  Upload upload(repository_, digest);
  unsigned attempts = 1;
  while (upload.step() != Upload::Step::done) {
    bool sending = upload.step() == Upload::Step::send;
    TRY_ASSIGN(CallTarget target, upload_step(upload, blob));
    Outcome outcome = call(std::move(target));
    if (outcome.answer) {
      TRY(upload.accepted(outcome.answer->head, outcome.answer->url, outcome.answer->reach));
    } else if (sending && outcome.may_pass && attempts++ < kMaxAttempts) {
      uint64_t random = std::chrono::steady_clock::now().time_since_epoch().count();
      std::this_thread::sleep_for(
          std::chrono::milliseconds(*backoff_ms(attempts, options_.backoff_first_ms, random, {})));
      upload.again();
    } else {
      TRY(upload.refused(std::move(outcome.answer).error()));
    }
  }
  return !upload.was_there();
}

// Without the blob the registry opens an upload instead, which is left to expire there.
Result<bool> RepositoryClient::mount_blob(const Digest& digest, const std::string& from) {
  CallTarget target;
  target.method = Method::post;
  TRY_ASSIGN(target.url, mount_url(repository_.base, digest, from));
  Outcome outcome = call(std::move(target));
  if (outcome.answer) return outcome.answer->head.status == kCreated;
  if (outcome.may_pass) return std::move(outcome.answer).error();
  return false;
}

Result<void> RepositoryClient::push_document(const std::string& reference, const Document& document) {
  TRY_ASSIGN(CallTarget target, put_document(repository_.base, reference, document));
  TRY_ASSIGN(Answer answer, call(std::move(target)).answer);
  return {};
}

}  // namespace erofs_format::registry
