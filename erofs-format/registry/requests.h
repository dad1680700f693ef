// What a repository is asked for, and what it is sent, as calls. `base` is https://HOST/v2/NAME/.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/digest.h"
#include "erofs-format/registry/call.h"

namespace erofs_format::registry {

// A manifest or an index as the registry sent it; nobody has compared it with a digest yet.
struct Document {
  std::string media_type;
  std::string text;
};

// `reference`: a tag, or "sha256:…".
Result<CallTarget> get_document(const Url& base, const std::string& reference);
Result<CallTarget> put_document(const Url& base, const std::string& reference, const Document& document);
Result<CallTarget> get_referrers(const Url& base, const Digest& subject);
// What clients keep the referrers of a manifest under where the registry has no API for them.
std::string referrers_tag(const Digest& subject);
Result<CallTarget> get_tags(const Url& base);
// Of its answer, those that are tags. `name` is for messages.
Result<std::vector<std::string>> parse_tags(ByteView json, const std::string& name);
Result<Url> blob_url(const Url& base, const Digest& digest);

// What is posted to have a blob of the registry's repository `from` in this one. Answered with kCreated when
// it is there now, else with an upload for it.
Result<Url> mount_url(const Url& base, const Digest& digest, const std::string& from);
inline constexpr int kCreated = 201;

// The first `size` bytes of a file. `fd` stays open as long as the body is used.
std::shared_ptr<const RequestBody> body_of_file(int fd, uint64_t size, const std::string& name);
std::shared_ptr<const RequestBody> body_of_bytes(ByteView bytes, std::string media_type);

}  // namespace erofs_format::registry
