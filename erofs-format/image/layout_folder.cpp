#include "erofs-format/image/layout_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include "erofs-format/image/verified_source.h"

namespace erofs_format {

namespace {

constexpr const char* kBlobFolder = "/blobs/sha256";

Result<void> check_version(const std::string& path) {
  std::string name = path + "/oci-layout";
  auto text = os::read_file(name, kMaxDocumentSize);
  if (!text) {
    if (text.error().code != Code::not_found) return std::move(text).error();
    return make_error(Code::not_found, path + ": not an OCI image layout: no file oci-layout");
  }
  TRY_ASSIGN(Json document, parse_document(*text, name));
  TRY_ASSIGN(std::string version, JsonField(document, name).member("imageLayoutVersion").text());
  if (!version.starts_with("1."))
    return make_error(Code::unsupported,
                      fmt::format("{}: version '{}' is not supported", name, printable(version)));
  return {};
}

Result<Index> read_index(const std::string& path) {
  std::string name = path + "/index.json";
  TRY_ASSIGN(Buffer text, os::read_file(name, kMaxDocumentSize));
  return parse_index(text, name);
}

std::string known_names(const Index& index) {
  std::string names;
  for (const auto& entry : index.manifests) {
    std::string name = entry.annotation(kRefNameAnnotation);
    if (name.empty()) name = digest_text(entry.digest);
    names += (names.empty() ? "" : ", ") + printable(name);
  }
  return names;
}

std::string blob_path(const std::string& layout, const Digest& digest) {
  return layout + kBlobFolder + "/" + to_hex(digest);
}

}  // namespace

Result<LayoutFolder> LayoutFolder::open(const std::string& path) {
  TRY(check_version(path));
  LayoutFolder folder(path);
  TRY_ASSIGN(folder.index_, read_index(path));
  return folder;
}

Result<Descriptor> find_named(const Index& index, const std::string& tag, const std::string& place) {
  const std::vector<Descriptor>& images = index.manifests;
  if (tag.empty()) {
    if (images.size() == 1) return images[0];
    if (images.empty()) return make_error(Code::not_found, place + ": holds no image");
    return make_error(Code::invalid_argument, fmt::format("{}: holds {} images, name one of: {}", place,
                                                          images.size(), known_names(index)));
  }
  for (const auto& entry : images)
    if (entry.annotation(kRefNameAnnotation) == tag) return entry;
  return make_error(Code::not_found, fmt::format("{}: no image '{}', there are: {}", place, printable(tag),
                                                 known_names(index)));
}

Result<Buffer> BlobFolder::read_blob(const Descriptor& descriptor, uint64_t limit) const {
  std::string path = blob_path(path_, descriptor.digest);
  TRY_ASSIGN(Buffer bytes, os::read_file(path, limit));
  if (bytes.size() != descriptor.size)
    return make_error(Code::digest_mismatch, fmt::format("{}: {} bytes, its descriptor says {}", path,
                                                         bytes.size(), descriptor.size));
  Digest actual = sha256(bytes);
  if (actual != descriptor.digest)
    return make_error(Code::digest_mismatch, fmt::format("{}: content is sha256:{}", path, to_hex(actual)));
  return bytes;
}

Result<std::unique_ptr<ByteSource>> BlobFolder::open_part(const Descriptor& descriptor, uint64_t offset,
                                                          const std::string& name) const {
  std::string path = blob_path(path_, descriptor.digest);
  auto fd = os::open(path, O_RDONLY);
  if (!fd) return std::move(fd).error().within(name);
  TRY_ASSIGN(struct stat st, os::stat_of(fd->get(), path));
  if (!S_ISREG(st.st_mode)) return make_error(Code::corrupt, fmt::format("{}: {}: not a file", name, path));
  if (::lseek(fd->get(), static_cast<off_t>(offset), SEEK_SET) < 0) return errno_error(path);
  return make_fd_source(std::move(*fd), name);
}

Result<LayoutTransaction> LayoutTransaction::create(const std::string& path) {
  LayoutTransaction transaction;
  transaction.path_ = path;
  for (const char* part : {"", "/blobs", kBlobFolder}) TRY(transaction.make_folder(path + part));
  // An existing folder must be a layout, or empty as far as a layout goes.
  TRY(transaction.current_index());
  return transaction;
}

LayoutTransaction::~LayoutTransaction() {
  blobs_.clear();
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) ::rmdir(folder->c_str());
}

Result<void> LayoutTransaction::make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) {
    made_.push_back(path);
    return {};
  }
  if (errno != EEXIST) return errno_error(path);
  return {};
}

Result<Index> LayoutTransaction::current_index() const {
  Index empty;
  empty.document["schemaVersion"] = 2;
  if (::access((path_ + "/oci-layout").c_str(), F_OK) < 0) {
    if (errno != ENOENT) return errno_error(path_);
    if (::access((path_ + "/index.json").c_str(), F_OK) == 0)
      return make_error(Code::corrupt, path_ + ": holds index.json but no oci-layout");
    return empty;
  }
  TRY(check_version(path_));
  return read_index(path_);
}

Result<os::PendingFile> LayoutTransaction::new_blob() const {
  return os::PendingFile::create(path_ + kBlobFolder);
}

Result<void> LayoutTransaction::add(os::PendingFile blob, const Digest& digest, uint64_t size,
                                    const Moved& moved) {
  TRY(moved(size));
  std::lock_guard lock(*mutex_);
  blobs_.push_back({std::move(blob), digest});
  return {};
}

Result<Arrival> LayoutTransaction::take(const Descriptor& blob, const ImageStore& from,
                                        const std::string& name, const Moved& moved) {
  if (auto here = BlobFolder(path_).open_blob(blob, name); here && drain(**here)) return Arrival::present;
  TRY(copy_blob(blob, from, *this, name, moved));
  return Arrival::copied;
}

Result<uint64_t> LayoutTransaction::blob_size(const Digest& digest) {
  std::string path = blob_path(path_, digest);
  TRY_ASSIGN(os::UniqueFd fd, os::open(path, O_RDONLY));
  TRY_ASSIGN(struct stat st, os::stat_of(fd.get(), path));
  return static_cast<uint64_t>(st.st_size);
}

Result<void> LayoutTransaction::publish(Descriptor image, ByteView document, const std::string& tag) {
  TRY_ASSIGN(Descriptor added, add_bytes(document, image.media_type));
  for (auto& blob : blobs_) TRY(blob.file.publish(to_hex(blob.digest)));
  blobs_.clear();
  // Two writers of one layout must not lose each other's entry.
  TRY_ASSIGN(os::UniqueFd lock, os::open(path_, O_RDONLY | O_DIRECTORY));
  if (::flock(lock.get(), LOCK_EX) < 0) return errno_error(path_);
  TRY_ASSIGN(Index index, current_index());
  std::erase_if(index.manifests, [&](const Descriptor& entry) {
    std::string name = entry.annotation(kRefNameAnnotation);
    return name == tag && (!tag.empty() || entry.digest == image.digest);
  });
  if (!tag.empty()) image.annotations[std::string(kRefNameAnnotation)] = tag;
  index.manifests.push_back(std::move(image));
  TRY(os::publish_file(path_ + "/oci-layout", as_bytes(kLayoutFile)));
  TRY(os::publish_file(path_ + "/index.json", as_bytes(serialize(index))));
  made_.clear();
  return {};
}

}  // namespace erofs_format
