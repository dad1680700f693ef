// Where a bootstrap is found: a file of its own, or inside a blob (nydus-rafs-v6.md 2.1, 2.6, 2.7).
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "erofs-format/base/os.h"
#include "erofs-format/blob/toc.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/ondisk/rafs.h"

namespace erofs_format {

using namespace ondisk;

namespace {

// A table of contents with its header; nydusd reads no larger one.
constexpr uint64_t kMaxTocTail = 65536;

struct Loaded {
  Buffer bytes;
  bool inlined = false;
};

struct File {
  os::UniqueFd fd;
  std::string path;
  uint64_t size = 0;
};

Result<File> open_file(const std::string& path, int descriptor) {
  File file;
  file.path = path;
  if (descriptor < 0) {
    TRY_ASSIGN(file.fd, os::open(path, O_RDONLY));
  } else {
    file.fd = os::UniqueFd(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
    if (!file.fd.valid() || lseek(descriptor, 0, SEEK_SET) < 0) return errno_error(path);
  }
  TRY_ASSIGN(struct stat status, os::stat_of(file.fd.get(), path));
  if (!S_ISREG(status.st_mode)) return make_error(Code::invalid_argument, path + ": is not a regular file");
  file.size = static_cast<uint64_t>(status.st_size);
  return file;
}

Result<Buffer> read_range(const File& file, uint64_t offset, uint64_t size) {
  Buffer bytes(size);
  TRY(os::pread_exact(file.fd.get(), offset, bytes, file.path));
  return bytes;
}

Result<Buffer> unpack_section(const File& file, const TocEntry& entry) {
  if (entry.uncompressed_size > kMaxBootstrapSize || entry.compressed_size > kMaxBootstrapSize)
    return make_error(Code::too_large, fmt::format("{}: {}: bootstrap is larger than {} bytes", file.path,
                                                   entry.name, kMaxBootstrapSize));
  if (!in_range(entry.compressed_offset, entry.compressed_size, file.size))
    return make_error(Code::corrupt, fmt::format("{}: table of contents: {} at byte {} lies outside the blob",
                                                 file.path, entry.name, entry.compressed_offset));
  TRY_ASSIGN(Buffer stored, read_range(file, entry.compressed_offset, entry.compressed_size));
  if (entry.flags == kTocRaw) return stored;
  if (entry.flags != kTocZstd)
    return make_error(Code::unsupported,
                      fmt::format("{}: not supported yet: {} compressed with lz4", file.path, entry.name));
  Buffer bytes(entry.uncompressed_size);
  auto result = Decoder().decompress(Compressor::zstd, stored, bytes);
  if (!result) return std::move(result.error()).within(file.path + ": " + entry.name);
  return bytes;
}

Result<Buffer> load_through_toc(const File& file) {
  uint64_t size = std::min(file.size, kMaxTocTail + sizeof(tar_header));
  TRY_ASSIGN(Buffer tail, read_range(file, file.size - size, size));
  auto entries = parse_toc(tail);
  if (!entries) return std::move(entries.error()).within(file.path);
  for (const TocEntry& entry : *entries) {
    if (entry.name != kSectionBoot) continue;
    TRY_ASSIGN(Buffer bytes, unpack_section(file, entry));
    if (bytes.size() != entry.uncompressed_size || sha256(bytes) != entry.uncompressed_digest)
      return make_error(Code::digest_mismatch,
                        fmt::format("{}: {} is not what the table of contents says", file.path, entry.name));
    return bytes;
  }
  return make_error(Code::not_found, file.path + ": blob has no bootstrap inside");
}

Result<Buffer> load_last_section(const File& file, uint64_t size) {
  uint64_t end = file.size - sizeof(tar_header);
  if (size > end || size > kMaxBootstrapSize)
    return make_error(Code::corrupt,
                      fmt::format("{}: byte {}: section header: size {} is too large", file.path, end, size));
  return read_range(file, end - size, size);
}

// A blob says at its end what it is; everything else must be a bootstrap.
Result<Loaded> load(const std::string& path, int descriptor) {
  TRY_ASSIGN(File file, open_file(path, descriptor));
  if (file.size >= sizeof(tar_header)) {
    TRY_ASSIGN(Buffer last, read_range(file, file.size - sizeof(tar_header), sizeof(tar_header)));
    auto section = parse_section_header(last);
    Loaded loaded;
    loaded.inlined = true;
    if (section && section->name == kSectionToc) {
      TRY_ASSIGN(loaded.bytes, load_through_toc(file));
      return loaded;
    }
    if (section && section->name == kSectionBoot) {
      TRY_ASSIGN(loaded.bytes, load_last_section(file, section->size));
      return loaded;
    }
  }
  Loaded loaded;
  TRY_ASSIGN(loaded.bytes, os::read_file(file.fd.get(), path, kMaxBootstrapSize));
  return loaded;
}

// "<64 hex digits>.anything" names a blob by its digits; any other name names itself.
std::string blob_id_of(const std::string& path) {
  std::string name = os::base_name(path);
  std::string prefix = name.substr(0, name.find('.'));
  return digest_from_hex(prefix) ? prefix : name;
}

// A builder cannot put a blob's digest into the blob: the file's name says it (2.6).
void name_inlined_blobs(const std::string& path, bool inlined, Tree& tree) {
  for (Blob& blob : tree.blobs) {
    if (inlined && blob.has(kBlobSeparate)) {
      if (auto digest = digest_from_hex(blob_id_of(path)); digest) blob.meta_digest = *digest;
      continue;
    }
    bool unnamed = blob.has(kBlobInlinedFsMeta) || (inlined && !blob.has(kBlobCapTarToc));
    if (unnamed) blob.id = blob_id_of(path);
  }
}

}  // namespace

Result<Buffer> load_bootstrap(const std::string& path, int descriptor) {
  TRY_ASSIGN(Loaded loaded, load(path, descriptor));
  return std::move(loaded.bytes);
}

Result<OpenedBootstrap> open_with_bytes(const std::string& path, std::vector<std::string>* notes,
                                        int descriptor) {
  TRY_ASSIGN(Loaded loaded, load(path, descriptor));
  TRY_ASSIGN(Tree tree, read_bootstrap(loaded.bytes, path, notes));
  name_inlined_blobs(path, loaded.inlined, tree);
  return OpenedBootstrap{std::move(tree), std::move(loaded.bytes)};
}

Result<Tree> open_bootstrap(const std::string& path, std::vector<std::string>* notes, int descriptor) {
  TRY_ASSIGN(OpenedBootstrap opened, open_with_bytes(path, notes, descriptor));
  return std::move(opened.tree);
}

}  // namespace erofs_format
