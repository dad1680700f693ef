#include "erofs-format/registry/registry_image.h"

#include <fmt/format.h>

#include "erofs-format/registry/requests.h"

namespace erofs_format::registry {
namespace {

Error wrong_bytes(const std::string& name, const Digest& actual) {
  return make_error(Code::digest_mismatch, fmt::format("{}: content is {}", name, digest_text(actual)));
}

}  // namespace

Result<Descriptor> RegistryStore::find(const std::string& reference) {
  std::string name = client_.repository().name + ":" + reference;
  TRY_ASSIGN(Document document, client_.document(reference));
  Descriptor found = describe_bytes(as_bytes(document.text), document.media_type);
  if (auto asked = parse_digest(reference); asked && *asked != found.digest)
    return wrong_bytes(name, found.digest);
  if (!is_manifest_type(found.media_type) && !is_index_type(found.media_type))
    return make_error(Code::unsupported, fmt::format("{}: neither a manifest nor an index but '{}'", name,
                                                     printable(found.media_type)));
  root_ = found;
  root_text_ = std::move(document.text);
  return found;
}

Result<Buffer> RegistryStore::read_blob(const Descriptor& descriptor, uint64_t limit) const {
  std::string name = digest_text(descriptor.digest);
  if (root_ && root_->digest == descriptor.digest) return Buffer(root_text_.begin(), root_text_.end());
  if (descriptor.size > limit)
    return make_error(Code::too_large,
                      fmt::format("{}: {} bytes are more than {}", name, descriptor.size, limit));
  if (!is_manifest_type(descriptor.media_type) && !is_index_type(descriptor.media_type)) {
    TRY_ASSIGN(auto source, open_blob(descriptor, name));
    return read_all(*source, descriptor.size);
  }
  TRY_ASSIGN(Document document, client_.document(name));
  Digest actual = sha256(as_bytes(document.text));
  if (actual != descriptor.digest) return wrong_bytes(name, actual);
  return Buffer(document.text.begin(), document.text.end());
}

Result<std::unique_ptr<ByteSource>> RegistryStore::open_part(const Descriptor& descriptor, uint64_t offset,
                                                             const std::string&) const {
  return client_.open_blob(descriptor.digest, descriptor.size, offset);
}

Result<std::vector<Descriptor>> RegistryStore::referrers(const Digest& digest) const {
  TRY_ASSIGN(std::optional<Document> list, client_.referrers(digest));
  if (!list) return std::vector<Descriptor>();
  TRY_ASSIGN(Index index, parse_index(as_bytes(list->text), "referrers of " + digest_text(digest)));
  return std::move(index.manifests);
}

Result<void> RegistryTarget::add(os::PendingFile blob, const Digest& digest, uint64_t size,
                                 const Moved& moved) {
  auto body = std::make_shared<RequestBody>(*body_of_file(blob.fd(), size, blob.temporary_path()));
  body->read = [read = std::move(body->read), moved](uint64_t offset, MutableBytes into) -> Result<void> {
    TRY(read(offset, into));
    return moved(offset + into.size());
  };
  TRY_ASSIGN(bool sent, client_.push_blob(digest, std::move(body)));
  (void)sent;
  return {};
}

Result<Arrival> RegistryTarget::take(const Descriptor& blob, const ImageStore& from, const std::string& name,
                                     const Moved& moved) {
  if (auto size = client_.blob_size(blob.digest); size && *size == blob.size) return Arrival::present;
  ImageStore::Origin origin = from.origin();
  if (origin.host == client_.repository().host) {
    TRY_ASSIGN(bool mounted, client_.mount_blob(blob.digest, origin.name));
    if (mounted) return Arrival::mounted;
  }
  TRY(copy_blob(blob, from, *this, name, moved));
  return Arrival::copied;
}

Result<Descriptor> RegistryTarget::add_bytes(ByteView bytes, std::string media_type) {
  Descriptor descriptor = describe_bytes(bytes, std::move(media_type));
  TRY_ASSIGN(bool sent,
             client_.push_blob(descriptor.digest, body_of_bytes(bytes, "application/octet-stream")));
  (void)sent;
  return descriptor;
}

Result<void> RegistryTarget::add_document(const Descriptor& descriptor, ByteView document) {
  return client_.push_document(digest_text(descriptor.digest),
                               {descriptor.media_type, std::string(as_text(document))});
}

Result<void> RegistryTarget::publish(Descriptor image, ByteView document, const std::string& tag) {
  std::string reference = tag.empty() ? digest_text(image.digest) : tag;
  return client_.push_document(reference, {image.media_type, std::string(as_text(document))});
}

}  // namespace erofs_format::registry
