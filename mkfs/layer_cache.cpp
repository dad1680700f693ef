#include "mkfs/layer_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "erofs-format/base/os.h"
#include "erofs-format/base/stream.h"
#include "erofs-format/image/layout_folder.h"

namespace mkfs {

namespace {

constexpr const char* kLayerFolder = "/layers/";
constexpr const char* kBlobFolder = "/blobs/sha256";

Result<void> copy(int from, uint64_t size, const os::PendingFile& to) {
  return read_in_pieces(from, 0, size, to.temporary_path(),
                        [&](ByteView part) { return os::write_all(to.fd(), part, to.temporary_path()); });
}

void mark_used(const std::string& path) { ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0); }

}  // namespace

LayerCache::LayerCache(const std::string& path) : path_(path), blobs_(std::make_shared<BlobFolder>(path)) {}

Result<std::unique_ptr<LayerCache>> LayerCache::open(const std::string& path) {
  TRY(os::make_directories(path + kLayerFolder));
  TRY(os::make_directories(path + kBlobFolder));
  return std::unique_ptr<LayerCache>(new LayerCache(path));
}

std::string LayerCache::descriptor_path(const LayerIdentity& identity) const {
  return path_ + kLayerFolder +
         to_hex(sha256(as_bytes(digest_text(identity.diff_id) + " " + identity.build)));
}

// What is damaged or gone is not there.
std::optional<KnownLayer> LayerCache::find(const LayerIdentity& identity) const {
  std::string path = descriptor_path(identity);
  auto text = os::read_file(path, kMaxDocumentSize);
  if (!text) return std::nullopt;
  auto document = parse_document(*text, path);
  if (!document) return std::nullopt;
  auto blob = descriptor_from(JsonField(*document, path));
  if (!blob || identity_of(*blob) != identity) return std::nullopt;
  std::string blob_path = path_ + kBlobFolder + "/" + to_hex(blob->digest);
  struct stat status = {};
  if (::stat(blob_path.c_str(), &status) < 0 || static_cast<uint64_t>(status.st_size) != blob->size)
    return std::nullopt;
  mark_used(path);
  mark_used(blob_path);
  return KnownLayer{std::move(*blob), blobs_};
}

Result<void> LayerCache::add(const LayerIdentity& identity, const Descriptor& blob, int blob_fd) const {
  TRY_ASSIGN(os::PendingFile file, os::PendingFile::create(path_ + kBlobFolder));
  TRY(copy(blob_fd, blob.size, file));
  TRY(file.publish(to_hex(blob.digest)));
  return os::publish_file(descriptor_path(identity), as_bytes(serialize(to_json(blob))));
}

}  // namespace mkfs
