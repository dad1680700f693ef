// Which requests put one blob into a repository, and what each answer means (OCI distribution specification,
// "Pushing blobs"): is it there? Else an upload is opened and the blob
// sent in one piece. Pure; `repository_client` sends the requests.
#pragma once

#include <string>

#include "erofs-format/base/digest.h"
#include "erofs-format/registry/http_policy.h"
#include "erofs-format/registry/repository.h"
#include "erofs-format/registry/response_head.h"

namespace erofs_format::registry {

class Upload {
 public:
  enum class Step { check, open, send, done };

  Upload(const Repository& repository, const Digest& digest) : repository_(repository), digest_(digest) {}

  Step step() const { return step_; }
  // The request of this step; with Step::send the blob is its body.
  Result<Url> url() const;
  Method method() const;

  // An answer with 2xx to the request that `asked`, from a server at `reach`.
  Result<void> accepted(const ResponseHead& head, const Url& asked, Reach reach);
  // Any other end of the request. What is no error for the upload goes on with the next step.
  Result<void> refused(Error error);
  // After a failed send: from the start, since the server may have all of the blob or a part of it.
  void again() { step_ = Step::check; }
  // Done, and nothing had to be sent.
  bool was_there() const { return was_there_; }

 private:
  const Repository& repository_;
  const Digest digest_;
  Step step_ = Step::check;
  Url session_;
  bool was_there_ = false;
};

}  // namespace erofs_format::registry
