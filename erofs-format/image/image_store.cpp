#include "erofs-format/image/image_store.h"

#include "erofs-format/image/image_marks.h"
#include "erofs-format/image/verified_source.h"

#include <fmt/format.h>

namespace erofs_format {

namespace {

std::string index_name(const Descriptor& index) { return "index " + digest_text(index.digest); }

}  // namespace

Result<std::unique_ptr<ByteSource>> ImageStore::open_blob(const Descriptor& descriptor,
                                                          const std::string& name) const {
  TRY_ASSIGN(auto stored, open_part(descriptor, 0, name));
  return make_verified_source(std::move(stored), descriptor.digest, descriptor.size, name);
}

Result<Manifest> ImageStore::open_manifest(const Descriptor& descriptor) const {
  TRY_ASSIGN(Buffer text, read_blob(descriptor));
  return parse_manifest(text, "manifest " + digest_text(descriptor.digest));
}

Result<Index> ImageStore::open_index(const Descriptor& descriptor, int depth) const {
  std::string name = index_name(descriptor);
  if (depth > kMaxIndexDepth)
    return make_error(Code::too_large, fmt::format("{}: nested deeper than {} levels", name, kMaxIndexDepth));
  TRY_ASSIGN(Buffer text, read_blob(descriptor));
  return parse_index(text, name);
}

Result<Descriptor> ImageStore::find_manifest(const Descriptor& start, const Platform& platform) const {
  if (!is_index_type(start.media_type)) return start;
  return find_in_index(start, platform, 1);
}

Result<Descriptor> ImageStore::find_in_index(const Descriptor& start, const Platform& platform,
                                             int depth) const {
  TRY_ASSIGN(Index index, open_index(start, depth));
  std::string seen;
  for (const auto& entry : index.manifests) {
    if (is_index_type(entry.media_type)) {
      auto found = find_in_index(entry, platform, depth + 1);
      if (found || found.error().code != Code::not_found) return found;
      continue;
    }
    if (!entry.platform || !is_manifest_type(entry.media_type) || is_marked_nydus(entry)) continue;
    if (entry.platform->serves(platform)) return entry;
    seen += (seen.empty() ? "" : ", ") + printable(to_string(*entry.platform));
  }
  return make_error(Code::not_found, fmt::format("{}: no image for {}, there are: {}", index_name(start),
                                                 to_string(platform), seen.empty() ? "none" : seen));
}

const char* to_string(Arrival arrival) {
  switch (arrival) {
    case Arrival::present: return "present";
    case Arrival::mounted: return "mounted";
    case Arrival::copied: break;
  }
  return "copied";
}

Result<void> not_watched(uint64_t) { return {}; }

Result<Descriptor> ImageTarget::add_bytes(ByteView bytes, std::string media_type) {
  Descriptor descriptor = describe_bytes(bytes, std::move(media_type));
  TRY_ASSIGN(os::PendingFile file, new_blob());
  TRY(os::write_all(file.fd(), bytes, file.temporary_path()));
  TRY(add(std::move(file), descriptor.digest, descriptor.size, not_watched));
  return descriptor;
}

Result<void> ImageTarget::add_document(const Descriptor& descriptor, ByteView document) {
  TRY_ASSIGN(Descriptor added, add_bytes(document, descriptor.media_type));
  return {};
}

Result<void> copy_blob(const Descriptor& blob, const ImageStore& from, ImageTarget& to,
                       const std::string& name, const Moved& moved) {
  TRY_ASSIGN(auto source, from.open_blob(blob, name));
  TRY_ASSIGN(os::PendingFile file, to.new_blob());
  Buffer buffer(size_t{1} << 18);
  for (;;) {
    TRY_ASSIGN(size_t count, source->read(buffer));
    if (count == 0) return to.add(std::move(file), blob.digest, blob.size, moved);
    TRY(os::write_all(file.fd(), ByteView(buffer).first(count), file.temporary_path()));
  }
}

Result<Buffer> read_all(ByteSource& source, uint64_t size) {
  Buffer bytes(size);
  for (size_t got = 0;;) {
    // One more than there may be, so that the source sees its end.
    uint8_t more = 0;
    MutableBytes into = got < size ? MutableBytes(bytes).subspan(got) : MutableBytes(&more, 1);
    TRY_ASSIGN(size_t count, source.read(into));
    if (count == 0) return bytes;
    got += count;
  }
}

Descriptor describe_bytes(ByteView bytes, std::string media_type) {
  Descriptor descriptor;
  descriptor.media_type = std::move(media_type);
  descriptor.digest = sha256(bytes);
  descriptor.size = bytes.size();
  return descriptor;
}

}  // namespace erofs_format
