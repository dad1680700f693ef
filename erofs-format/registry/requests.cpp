#include "erofs-format/registry/requests.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/os.h"
#include "erofs-format/image/manifest.h"
#include "erofs-format/registry/repository.h"

namespace erofs_format::registry {
namespace {

Result<CallTarget> at_document(const Url& base, const std::string& reference) {
  TRY(check_reference(reference));
  CallTarget target;
  TRY_ASSIGN(target.url, join_url(base, "manifests/" + reference));
  return target;
}

}  // namespace

Result<CallTarget> get_document(const Url& base, const std::string& reference) {
  TRY_ASSIGN(CallTarget target, at_document(base, reference));
  target.accept =
      fmt::format("{}, {}, {}, {}", kOciIndexType, kOciManifestType, kDockerIndexType, kDockerManifestType);
  target.text_limit = kMaxDocumentBytes;
  return target;
}

Result<CallTarget> put_document(const Url& base, const std::string& reference, const Document& document) {
  TRY_ASSIGN(CallTarget target, at_document(base, reference));
  target.method = Method::put;
  target.body = body_of_bytes(as_bytes(document.text), document.media_type);
  return target;
}

Result<CallTarget> get_referrers(const Url& base, const Digest& subject) {
  CallTarget target;
  TRY_ASSIGN(target.url, join_url(base, "referrers/" + digest_text(subject)));
  target.accept = kOciIndexType;
  target.text_limit = kMaxDocumentBytes;
  return target;
}

std::string referrers_tag(const Digest& subject) { return "sha256-" + to_hex(subject); }

Result<CallTarget> get_tags(const Url& base) {
  CallTarget target;
  TRY_ASSIGN(target.url, join_url(base, "tags/list"));
  target.accept = "application/json";
  target.text_limit = kMaxDocumentBytes;
  return target;
}

Result<std::vector<std::string>> parse_tags(ByteView json, const std::string& name) {
  TRY_ASSIGN(Json document, parse_document(json, name));
  std::vector<std::string> tags;
  TRY(JsonField(document, name).member("tags").for_each([&](const JsonField& element) -> Result<void> {
    TRY_ASSIGN(std::string tag, element.text());
    if (check_reference(tag)) tags.push_back(std::move(tag));
    return {};
  }));
  return tags;
}

Result<Url> mount_url(const Url& base, const Digest& digest, const std::string& from) {
  TRY_ASSIGN(Url url, join_url(base, "blobs/uploads/"));
  TRY_ASSIGN(url, add_query(url, "mount", digest_text(digest)));
  return add_query(url, "from", from);
}

Result<Url> blob_url(const Url& base, const Digest& digest) {
  return join_url(base, "blobs/" + digest_text(digest));
}

std::shared_ptr<const RequestBody> body_of_file(int fd, uint64_t size, const std::string& name) {
  auto body = std::make_shared<RequestBody>();
  body->size = size;
  body->read = [fd, name](uint64_t offset, MutableBytes into) {
    return os::pread_exact(fd, offset, into, name);
  };
  return body;
}

std::shared_ptr<const RequestBody> body_of_bytes(ByteView bytes, std::string media_type) {
  auto body = std::make_shared<RequestBody>();
  body->size = bytes.size();
  body->media_type = std::move(media_type);
  body->read = [copy = Buffer(bytes.begin(), bytes.end())](uint64_t offset, MutableBytes into) {
    std::copy_n(copy.begin() + static_cast<ptrdiff_t>(offset), into.size(), into.begin());
    return Result<void>();
  };
  return body;
}

}  // namespace erofs_format::registry
