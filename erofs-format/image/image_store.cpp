#include "erofs-format/image/image_store.h"

#include "erofs-format/image/image_marks.h"

#include <fmt/format.h>

namespace erofs_format {

Result<Descriptor> ImageStore::find_manifest(const Descriptor& start, const Platform& platform) const {
  if (!is_index_type(start.media_type)) return start;
  return find_in_index(start, platform, 1);
}

Result<Descriptor> ImageStore::find_in_index(const Descriptor& start, const Platform& platform,
                                             int depth) const {
  std::string name = "index " + digest_text(start.digest);
  if (depth > kMaxIndexDepth)
    return make_error(Code::too_large, fmt::format("{}: nested deeper than {} levels", name, kMaxIndexDepth));
  TRY_ASSIGN(Buffer text, read_blob(start));
  TRY_ASSIGN(Index index, parse_index(text, name));
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
  return make_error(Code::not_found, fmt::format("{}: no image for {}, there are: {}", name,
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
