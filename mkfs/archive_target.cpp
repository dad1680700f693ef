#include "mkfs/archive_target.h"

#include <fmt/format.h>

#include "erofs-format/base/stream.h"
#include "erofs-format/image/layout_folder.h"
#include "mkfs/tar_writer.h"

namespace mkfs {

namespace {

constexpr const char* kBlobs = "blobs/sha256/";

Inode inode_of(uint16_t mode, uint64_t size) {
  Inode inode;
  inode.mode = mode;
  inode.size = size;
  return inode;
}

Result<void> write_folder(TarWriter& tar, const std::string& path) {
  return tar.begin({path, {}, false}, inode_of(S_IFDIR | 0755, 0));
}

Result<void> write_text(TarWriter& tar, const std::string& path, std::string_view text) {
  TRY(tar.begin({path, {}, false}, inode_of(S_IFREG | 0644, text.size())));
  TRY(tar.content(as_bytes(text)));
  return tar.end();
}

Result<void> write_file(TarWriter& tar, const std::string& path, const os::PendingFile& file, uint64_t size) {
  TRY(tar.begin({path, {}, false}, inode_of(S_IFREG | 0644, size)));
  TRY(read_in_pieces(file.fd(), 0, size, file.temporary_path(),
                     [&](ByteView part) { return tar.content(part); }));
  return tar.end();
}

}  // namespace

ArchiveTarget::ArchiveTarget(std::string path, Form form) : path_(std::move(path)), form_(form) {}

Result<os::PendingFile> ArchiveTarget::new_blob() const {
  return os::PendingFile::create(os::parent_directory(path_));
}

Result<void> ArchiveTarget::add(os::PendingFile blob, const Digest& digest, uint64_t size,
                                const Moved& moved) {
  TRY(moved(size));
  std::lock_guard lock(mutex_);
  blobs_.try_emplace(digest, Blob{std::move(blob), size});
  return {};
}

Result<Arrival> ArchiveTarget::take(const Descriptor& blob, const ImageStore& from, const std::string& name,
                                    const Moved& moved) {
  TRY(copy_blob(blob, from, *this, name, moved));
  return Arrival::copied;
}

Result<uint64_t> ArchiveTarget::blob_size(const Digest& digest) {
  return make_error(Code::not_found, fmt::format("{}: holds no {}", path_, digest_text(digest)));
}

Result<std::string> ArchiveTarget::docker_list(ByteView document, const std::string& tag) const {
  TRY_ASSIGN(Manifest manifest, parse_manifest(document, "manifest of the image"));
  auto path = [](const Descriptor& blob) { return kBlobs + to_hex(blob.digest); };
  Json image = Json::object();
  image["Config"] = path(manifest.config);
  image["RepoTags"] = Json::array();
  if (!tag.empty()) image["RepoTags"].push_back(tag);
  image["Layers"] = Json::array();
  for (const Descriptor& layer : manifest.layers) image["Layers"].push_back(path(layer));
  return serialize(Json::array({std::move(image)}));
}

Result<void> ArchiveTarget::publish(Descriptor image, ByteView document, const std::string& tag) {
  TRY_ASSIGN(Descriptor added, add_bytes(document, image.media_type));
  if (!tag.empty()) image.annotations[std::string(kRefNameAnnotation)] = tag;
  Index index;
  index.manifests.push_back(std::move(image));
  TRY_ASSIGN(os::PendingFile file, os::PendingFile::create(os::parent_directory(path_)));
  TarWriter tar(file.fd(), file.temporary_path());
  TRY(write_text(tar, "oci-layout", kLayoutFile));
  TRY(write_text(tar, "index.json", serialize(index)));
  if (form_ == Form::docker && is_manifest_type(added.media_type)) {
    TRY_ASSIGN(std::string list, docker_list(document, tag));
    TRY(write_text(tar, "manifest.json", list));
  }
  TRY(write_folder(tar, "blobs"));
  TRY(write_folder(tar, "blobs/sha256"));
  while (!blobs_.empty()) {
    auto blob = blobs_.extract(blobs_.begin());
    TRY(write_file(tar, kBlobs + to_hex(blob.key()), blob.mapped().file, blob.mapped().size));
  }
  TRY(tar.finish());
  return file.publish(os::base_name(path_));
}

}  // namespace mkfs
