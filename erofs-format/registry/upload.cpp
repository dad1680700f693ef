#include "erofs-format/registry/upload.h"

#include "erofs-format/image/descriptor.h"
#include "erofs-format/registry/redirect.h"
#include "erofs-format/registry/requests.h"

namespace erofs_format::registry {

Method Upload::method() const {
  switch (step_) {
    case Step::open: return Method::post;
    case Step::send: return Method::put;
    case Step::check:
    case Step::done: break;
  }
  return Method::head;
}

Result<Url> Upload::url() const {
  switch (step_) {
    case Step::open: return join_url(repository_.base, "blobs/uploads/");
    case Step::send: return add_query(session_, "digest", digest_text(digest_));
    case Step::check:
    case Step::done: break;
  }
  return blob_url(repository_.base, digest_);
}

Result<void> Upload::accepted(const ResponseHead& head, const Url& asked, Reach reach) {
  if (step_ == Step::open) {
    // An upload's place is the server's own choice, but no freer than a redirect's.
    TRY_ASSIGN(session_, redirect_target(asked, reach, head.location));
    step_ = Step::send;
    return {};
  }
  was_there_ = step_ == Step::check;
  step_ = Step::done;
  return {};
}

// Some servers do not answer HEAD as they should: the upload itself will show what is wrong.
Result<void> Upload::refused(Error error) {
  if (step_ != Step::check || error.code == Code::auth) return error;
  step_ = Step::open;
  return {};
}

}  // namespace erofs_format::registry
