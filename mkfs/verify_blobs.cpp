#include "mkfs/verify_blobs.h"

#include <fmt/format.h>

#include "erofs-format/base/os.h"
#include "erofs-format/base/stream.h"
#include "erofs-format/blob/blob_reader.h"
#include "erofs-format/blob/toc.h"
#include "erofs-format/ondisk/rafs.h"

namespace mkfs {

namespace {

using namespace ondisk;

constexpr uint64_t kMaxTocTail = 65536 + sizeof(tar_header);

// One blob under examination.
struct Examined {
  const Tree& tree;
  const Blob& blob;
  uint32_t index;
  const BlobFile& file;  // with the chunk information and all other sections
  const BlobFile& data;  // with the chunks: mostly the same
  std::vector<TocEntry> toc;
  std::vector<std::string>& notes;

  const TocEntry* section(std::string_view name) const {
    for (const TocEntry& entry : toc)
      if (entry.name == name) return &entry;
    return nullptr;
  }
};

Error broken(const Examined& x, Code code, std::string_view what) {
  return make_error(code, fmt::format("{}: {}", x.file.path, what));
}

Result<Buffer> read_range(const Examined& x, uint64_t offset, uint64_t size) {
  if (!in_range(offset, size, x.file.size))
    return broken(x, Code::corrupt, fmt::format("byte {}: section of {} bytes lies outside", offset, size));
  Buffer bytes(size);
  TRY(os::pread_exact(x.file.fd.get(), offset, bytes, x.file.path));
  return bytes;
}

Result<void> hash_range(const BlobFile& file, uint64_t offset, uint64_t size, Sha256& hash) {
  return read_in_pieces(file.fd.get(), offset, size, file.path, [&](ByteView part) -> Result<void> {
    hash.update(part);
    return {};
  });
}

// A tar as its builder found it: nothing was added.
Result<void> check_original(const Examined& x) {
  if (x.data.size == x.blob.compressed_size) return {};
  return make_error(Code::corrupt, fmt::format("{}: has {} bytes, the bootstrap says {}", x.data.path,
                                               x.data.size, x.blob.compressed_size));
}

// The shortest file that can hold what the bootstrap says; more may only follow as sections.
Result<void> check_length(const Examined& x) {
  if (x.blob.has(kBlobSeparate) || x.blob.has(kBlobTarfs)) return check_original(x);
  uint64_t information = x.blob.ci_offset + x.blob.ci_compressed_size + sizeof(blob_meta_header);
  uint64_t least = x.blob.has(kBlobCapTarToc) ? x.blob.compressed_size : information;
  if (x.file.size < least)
    return broken(x, Code::corrupt, fmt::format("has {} bytes, the bootstrap says {}", x.file.size, least));
  bool sections = x.blob.has(kBlobHasTarHeader) || !x.blob.has(kBlobCapTarToc);
  if (x.file.size > least && !sections)
    return broken(x, Code::corrupt, fmt::format("has {} bytes, the bootstrap says {}", x.file.size, least));
  return {};
}

Result<void> read_toc(Examined& x) {
  if (!x.blob.has(kBlobHasToc)) return {};
  uint64_t size = std::min(x.file.size, kMaxTocTail);
  TRY_ASSIGN(Buffer tail, read_range(x, x.file.size - size, size));
  auto entries = parse_toc(tail);
  if (!entries) return std::move(entries.error()).within(x.file.path);
  x.toc = std::move(*entries);
  uint64_t toc_size = x.toc.size() * sizeof(toc_entry) + sizeof(tar_header);
  if (x.blob.toc_size == 0 || x.blob.toc_digest.is_zero()) return {};
  if (x.blob.toc_size != toc_size || toc_digest(ByteView(tail).last(toc_size)) != x.blob.toc_digest)
    return broken(x, Code::digest_mismatch, "table of contents is not the one the bootstrap names");
  return {};
}

// image.blob is hashed with its header, and some builders wrote a wrong offset for it.
Result<void> check_data_section(const Examined& x, const TocEntry& entry) {
  uint64_t size = x.blob.compressed_data_size();
  if (entry.compressed_size != size || !in_range(0, size + sizeof(tar_header), x.file.size))
    return broken(x, Code::corrupt, fmt::format("{}: size is not that of the chunk data", entry.name));
  Sha256 hash;
  TRY(hash_range(x.file, 0, size + sizeof(tar_header), hash));
  if (hash.digest() != entry.uncompressed_digest)
    return broken(x, Code::digest_mismatch, fmt::format("{}: digest differs", entry.name));
  return {};
}

Result<void> check_section(const Examined& x, const TocEntry& entry) {
  if (entry.name == kSectionBlob) return check_data_section(x, entry);
  // Encrypted sections are digested before encryption; their content is verified with the chunks.
  if (x.blob.encrypted && entry.name.starts_with(kSectionMeta)) return {};
  if (entry.uncompressed_size > UINT32_MAX || entry.compressed_size > UINT32_MAX)
    return broken(x, Code::too_large, fmt::format("{}: is over 4 GiB", entry.name));
  TRY_ASSIGN(Buffer stored, read_range(x, entry.compressed_offset, entry.compressed_size));
  Buffer content;
  if (entry.flags == kTocRaw) {
    content = std::move(stored);
  } else {
    content.resize(entry.uncompressed_size);
    auto compressor = entry.flags == kTocZstd ? Compressor::zstd : Compressor::lz4_block;
    auto result = Decoder().decompress(compressor, stored, content);
    if (!result) return std::move(result.error()).within(x.file.path + ": " + entry.name);
  }
  if (sha256(content) != entry.uncompressed_digest)
    return broken(x, Code::digest_mismatch, fmt::format("{}: digest differs", entry.name));
  return {};
}

// The array of chunk digests must say what the chunk table of the bootstrap says.
Result<void> check_digest_array(const Examined& x) {
  const TocEntry* entry = x.section(kSectionDigest);
  if (!entry) return {};
  TRY_ASSIGN(Buffer bytes, read_range(x, entry->compressed_offset, entry->compressed_size));
  auto digests = structs_at<Digest>(bytes, 0, x.blob.chunk_count);
  if (digests.size_bytes() != bytes.size())
    return broken(x, Code::corrupt, "blob.digest: size is not 32 bytes for each chunk");
  for (const Chunk& chunk : x.tree.chunks)
    if (chunk.blob_index == x.index && digests[chunk.index] != chunk.digest)
      return broken(x, Code::digest_mismatch,
                    fmt::format("blob.digest: chunk {} is not the one of the bootstrap", chunk.index));
  return {};
}

// nydus-image leaves the digest array out of what it hashes (nydus-rafs-v6.md 2.6).
Result<bool> id_without_digests(const Examined& x, const Digest& id) {
  const TocEntry* entry = x.section(kSectionDigest);
  if (!entry || !in_range(entry->compressed_offset, entry->compressed_size, x.file.size)) return false;
  uint64_t rest = entry->compressed_offset + entry->compressed_size;
  Sha256 hash;
  TRY(hash_range(x.file, 0, entry->compressed_offset, hash));
  TRY(hash_range(x.file, rest, x.file.size - rest, hash));
  return hash.digest() == id;
}

Result<void> check_id(const Examined& x) {
  auto id = digest_from_hex(x.blob.meta_id());
  if (!id) {
    x.notes.push_back(fmt::format("{}: id is not a digest, not compared", x.file.path));
    return {};
  }
  Sha256 hash;
  TRY(hash_range(x.file, 0, x.file.size, hash));
  if (hash.digest() == *id) return {};
  TRY_ASSIGN(bool known, id_without_digests(x, *id));
  if (!known)
    return broken(x, Code::digest_mismatch,
                  fmt::format("SHA-256 is {}, expected the id {}", to_hex(hash.digest()), x.blob.meta_id()));
  x.notes.push_back(fmt::format("{}: id leaves out the digest array, as nydus-image makes it", x.file.path));
  return {};
}

// What the chunks of a gzip stream lie in is the layer somebody else made.
Result<void> check_data_id(const Examined& x) {
  auto id = digest_from_hex(x.blob.id);
  if (!id) return {};
  Sha256 hash;
  TRY(hash_range(x.data, 0, x.data.size, hash));
  if (hash.digest() == *id) return {};
  return make_error(Code::digest_mismatch, fmt::format("{}: SHA-256 is {}, expected the id {}", x.data.path,
                                                       to_hex(hash.digest()), x.blob.id));
}

Result<void> verify_blob(Examined& x) {
  TRY(check_length(x));
  TRY(read_toc(x));
  for (const TocEntry& entry : x.toc) TRY(check_section(x, entry));
  TRY(check_digest_array(x));
  if (x.blob.has(kBlobSeparate)) TRY(check_data_id(x));
  return check_id(x);
}

}  // namespace

Result<void> verify_blobs(const Tree& tree, const std::vector<std::string>& directories,
                          std::vector<std::string>& notes) {
  TRY_ASSIGN(auto reader, BlobReader::open(tree, directories));
  for (uint32_t i = 0; i < tree.blobs.size(); i++) {
    Examined x{tree, tree.blobs[i], i, reader->meta_file(i), reader->file(i), {}, notes};
    TRY(verify_blob(x));
  }
  for (ChunkId id = 0; id < tree.chunks.size(); id++) {
    auto bytes = reader->chunk(id);
    if (!bytes) return std::move(bytes).error();
  }
  return {};
}

}  // namespace mkfs
