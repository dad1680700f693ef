#include "mkfs/archive_store.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/options.h"
#include "erofs-format/image/layout_folder.h"

namespace mkfs {

namespace {

constexpr std::string_view kBlobs = "blobs/sha256/";
constexpr const char* kDockerConfigType = "application/vnd.docker.container.image.v1+json";
constexpr const char* kDockerLayerType = "application/vnd.docker.image.rootfs.diff.tar";
// Links to layers, as docker save made them for layers of equal content.
constexpr int kMaxLinks = 8;

// Bytes of a file that others read, too.
class FilePart : public ByteSource {
 public:
  FilePart(int fd, uint64_t offset, uint64_t size, std::string name)
      : fd_(fd), offset_(offset), left_(size), name_(std::move(name)) {}
  Result<size_t> read(MutableBytes into) override {
    MutableBytes part = into.first(std::min<uint64_t>(into.size(), left_));
    TRY(os::pread_exact(fd_, offset_, part, name_));
    offset_ += part.size();
    left_ -= part.size();
    return part.size();
  }

 private:
  int fd_;
  uint64_t offset_;
  uint64_t left_;
  std::string name_;
};

// "a/b/../c" -> "a/c", as a symlink of the member `from` means it.
std::string linked_path(const std::string& from, const ArchiveMember& link) {
  if (link.hard_link) return link.link;
  std::vector<std::string> parts;
  std::string text = os::parent_directory(from) + "/" + link.link;
  for (size_t start = 0; start < text.size();) {
    size_t slash = std::min(text.find('/', start), text.size());
    std::string part = text.substr(start, slash - start);
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.push_back(part);
    start = slash + 1;
  }
  return fmt::format("{}", fmt::join(parts, "/"));
}

Result<std::vector<std::string>> names_of(const JsonField& image) {
  std::vector<std::string> names;
  TRY(image.member("RepoTags").for_each([&](const JsonField& element) -> Result<void> {
    TRY_ASSIGN(std::string name, element.text());
    names.push_back(std::move(name));
    return {};
  }));
  return names;
}

// The image of manifest.json that bears `tag` in RepoTags, with or without a registry in front; without a
// tag, the only one.
Result<JsonField> choose_image(const JsonField& images, const std::string& tag, const std::string& path) {
  std::vector<JsonField> chosen;
  std::string known;
  TRY(images.for_each([&](const JsonField& image) -> Result<void> {
    TRY_ASSIGN(std::vector<std::string> names, names_of(image));
    auto is_meant = [&](const std::string& name) { return name == tag || name.ends_with("/" + tag); };
    if (tag.empty() || std::any_of(names.begin(), names.end(), is_meant)) chosen.push_back(image);
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + printable(name);
    return {};
  }));
  if (chosen.size() == 1) return chosen[0];
  if (tag.empty())
    return make_error(Code::invalid_argument,
                      fmt::format("{}: holds {} images, name one of: {}", path, chosen.size(), known));
  return make_error(Code::not_found,
                    fmt::format("{}: {} image '{}', there are: {}", path,
                                chosen.empty() ? "no" : "more than one", printable(tag), known));
}

}  // namespace

Result<std::unique_ptr<ArchiveStore>> ArchiveStore::open(const std::string& path) {
  std::unique_ptr<ArchiveStore> store(new ArchiveStore);
  store->path_ = path;
  TRY_ASSIGN(store->fd_, os::open(path, O_RDONLY));
  TRY_ASSIGN(struct stat st, os::stat_of(store->fd_.get(), path));
  if (!S_ISREG(st.st_mode))
    return make_error(Code::invalid_argument,
                      path + ": an archive of images is a regular file: its documents may come last");
  Buffer head(4);
  if (st.st_size >= 4) TRY(os::pread_exact(store->fd_.get(), 0, head, path));
  if (sniff(head) != StreamFormat::plain)
    return make_error(
        Code::unsupported,
        path + ": is compressed: an archive of images is read where it lies, so uncompress it first");
  TRY_ASSIGN(os::UniqueFd again, os::open(path, O_RDONLY));
  TRY_ASSIGN(auto members, list_tar_members(make_fd_source(std::move(again), path), path));
  for (ArchiveMember& member : members) {
    std::string name = member.path;
    store->members_.insert_or_assign(std::move(name), std::move(member));  // as when it is extracted
  }
  return store;
}

Result<ArchiveStore::Place> ArchiveStore::member(const std::string& name) const {
  std::string at = name;
  for (int links = 0; links < kMaxLinks; links++) {
    auto found = members_.find(at);
    if (found == members_.end())
      return make_error(Code::not_found, fmt::format("{}: holds no {}", path_, printable(at)));
    if (found->second.link.empty()) return Place{found->second.offset, found->second.size};
    at = linked_path(at, found->second);
  }
  return make_error(Code::corrupt, fmt::format("{}: {}: too many links", path_, printable(name)));
}

Result<Buffer> ArchiveStore::read_member(const std::string& name) const {
  TRY_ASSIGN(Place place, member(name));
  if (place.size > kMaxDocumentSize)
    return make_error(Code::too_large, fmt::format("{}: {}: {} bytes are more than {}", path_,
                                                   printable(name), place.size, kMaxDocumentSize));
  Buffer bytes(place.size);
  TRY(os::pread_exact(fd_.get(), place.offset, bytes, path_));
  return bytes;
}

std::unique_ptr<ByteSource> ArchiveStore::source_of(Place place, const std::string& name) const {
  return std::make_unique<FilePart>(fd_.get(), place.offset, place.size, name);
}

Result<std::unique_ptr<ByteSource>> ArchiveStore::open_part(const Descriptor& descriptor, uint64_t offset,
                                                            const std::string& name) const {
  auto found = blobs_.find(descriptor.digest);
  if (found == blobs_.end())
    return make_error(Code::not_found, fmt::format("{}: {}: holds no such blob", name, path_));
  Place place = found->second;
  offset = std::min(offset, place.size);
  return source_of({place.offset + offset, place.size - offset}, name);
}

Result<Buffer> ArchiveStore::read_blob(const Descriptor& descriptor, uint64_t limit) const {
  if (auto made = documents_.find(descriptor.digest); made != documents_.end())
    return Buffer(made->second.begin(), made->second.end());
  std::string name = path_ + ": " + digest_text(descriptor.digest);
  if (descriptor.size > limit)
    return make_error(Code::too_large,
                      fmt::format("{}: {} bytes are more than {}", name, descriptor.size, limit));
  TRY_ASSIGN(auto source, open_blob(descriptor, name));
  return read_all(*source, descriptor.size);
}

Result<ArchiveStore::Opened> ArchiveStore::open_oci(const std::string& path, const std::string& tag) {
  Opened opened;
  TRY_ASSIGN(opened.store, open(path));
  for (const auto& [name, member] : opened.store->members_) {
    if (!name.starts_with(kBlobs)) continue;
    if (auto digest = digest_from_hex(name.substr(kBlobs.size())))
      opened.store->blobs_[*digest] = {member.offset, member.size};
  }
  TRY_ASSIGN(Buffer text, opened.store->read_member("index.json"));
  TRY_ASSIGN(Index index, parse_index(text, path + ": index.json"));
  TRY_ASSIGN(opened.root, find_named(index, tag, path));
  return opened;
}

// The digest of a layer that is a plain tar is known: it is the diff_id.
Result<Descriptor> ArchiveStore::docker_layer(const std::string& name, const Digest& diff_id) {
  TRY_ASSIGN(Place place, member(name));
  Descriptor layer;
  layer.media_type = kDockerLayerType;
  layer.digest = diff_id;
  layer.size = place.size;
  Buffer head(std::min<uint64_t>(place.size, 4));
  TRY(os::pread_exact(fd_.get(), place.offset, head, path_));
  if (sniff(head) != StreamFormat::plain) {
    Sha256 hash;
    Buffer buffer(size_t{1} << 18);
    for (auto source = source_of(place, path_);;) {
      TRY_ASSIGN(size_t count, source->read(buffer));
      if (count == 0) break;
      hash.update(ByteView(buffer).first(count));
    }
    layer.digest = hash.digest();
  }
  blobs_[layer.digest] = place;
  return layer;
}

Result<Descriptor> ArchiveStore::make_manifest(const JsonField& image) {
  TRY_ASSIGN(std::string config_name, image.member("Config").text());
  TRY_ASSIGN(Buffer text, read_member(config_name));
  TRY_ASSIGN(ImageConfig config, parse_config(text, path_ + ": " + printable(config_name)));
  Manifest manifest;
  manifest.media_type = kDockerManifestType;
  manifest.config = describe_bytes(text, kDockerConfigType);
  TRY_ASSIGN(blobs_[manifest.config.digest], member(config_name));
  JsonField layers = image.member("Layers");
  TRY(layers.for_each([&](const JsonField& layer) -> Result<void> {
    TRY_ASSIGN(std::string name, layer.text());
    if (manifest.layers.size() == config.diff_ids.size())
      return layers.error("more than the configuration's diff_ids");
    TRY_ASSIGN(Descriptor descriptor, docker_layer(name, config.diff_ids[manifest.layers.size()]));
    manifest.layers.push_back(std::move(descriptor));
    return {};
  }));
  std::string made = serialize(manifest);
  Descriptor root = describe_bytes(as_bytes(made), manifest.media_type);
  documents_[root.digest] = std::move(made);
  return root;
}

Result<ArchiveStore::Opened> ArchiveStore::open_docker(const std::string& path, const std::string& tag) {
  Opened opened;
  TRY_ASSIGN(opened.store, open(path));
  TRY_ASSIGN(Buffer list, opened.store->read_member("manifest.json"));
  // Documents are objects; this one is a list.
  std::string text = "{\"images\":" + std::string(as_text(list)) + "}";
  TRY_ASSIGN(Json document, parse_document(as_bytes(text), path + ": manifest.json"));
  JsonField images = JsonField(document, path + ": manifest.json").member("images");
  TRY_ASSIGN(JsonField image, choose_image(images, tag, path));
  TRY_ASSIGN(opened.root, opened.store->make_manifest(image));
  return opened;
}

}  // namespace mkfs
