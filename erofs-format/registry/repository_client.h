// A repository, for callers that wait. Safe from several threads: all transfers are the CurlThread's.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>

#include "erofs-format/base/digest.h"
#include "erofs-format/base/stream.h"
#include "erofs-format/registry/call.h"
#include "erofs-format/registry/curl_thread.h"
#include "erofs-format/registry/repository.h"
#include "erofs-format/registry/requests.h"
#include "erofs-format/registry/upload.h"

namespace erofs_format::registry {

class RepositoryClient {
 public:
  RepositoryClient(CurlThread& thread, Repository repository, Credential credential, HttpOptions options,
                   OriginOptions terms = {});
  // No source of a blob is left.
  ~RepositoryClient();
  RepositoryClient(const RepositoryClient&) = delete;
  RepositoryClient& operator=(const RepositoryClient&) = delete;

  const Repository& repository() const { return repository_; }

  // `reference`: a tag, or "sha256:…". An error when the server itself names another digest for it.
  Result<Document> document(const std::string& reference);
  // The index of the manifests whose subject has this digest: from the referrers API, or where a registry
  // has none, from the tag that clients keep instead. Nothing: there is neither.
  Result<std::optional<Document>> referrers(const Digest& subject);
  // The names of its images, in the server's order; as many as the server tells at once.
  Result<std::vector<std::string>> tags();
  // A blob's bytes in order from `offset` on, some ranges ahead of the reader. Not compared with the digest;
  // that there are `size` bytes and no more is.
  std::unique_ptr<ByteSource> open_blob(const Digest& digest, uint64_t size, uint64_t offset = 0);
  // Its size; Code::not_found when it is not there.
  Result<uint64_t> blob_size(const Digest& digest);

  // Whether it had to be sent.
  Result<bool> push_blob(const Digest& digest, const std::shared_ptr<const RequestBody>& blob);
  // Asks the registry to share a blob of its repository `from`; false when it will not.
  Result<bool> mount_blob(const Digest& digest, const std::string& from);
  Result<void> push_document(const std::string& reference, const Document& document);

  // What came of a call.
  struct Answer {
    ResponseHead head;
    std::string text;
    Url url;  // that answered
    Reach reach = Reach::network;
    std::optional<uint64_t> total;  // of the blob
  };
  using CallId = uint64_t;
  // `may_pass`: of an error, whether the same call could succeed another time.
  using Done = std::function<void(Result<Answer>, bool may_pass)>;
  // `done` runs on the transfers' thread, once; also after cancel().
  CallId start(CallTarget target, Done done);
  void cancel(CallId id);

 private:
  struct Outcome {
    Result<Answer> answer;
    bool may_pass = false;
  };
  Outcome call(CallTarget target);
  Result<CallTarget> upload_step(const Upload& upload, const std::shared_ptr<const RequestBody>& blob) const;

  CurlThread& thread_;
  const Repository repository_;
  const HttpOptions options_;
  std::atomic<CallId> next_id_ = 1;
  // The thread's.
  TransferCounters counters_;
  HttpOrigin origin_;
  std::unordered_map<CallId, std::shared_ptr<Call>> calls_;
};

}  // namespace erofs_format::registry
