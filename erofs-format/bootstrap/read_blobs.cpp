// Device slots and blob table: one list under two headings (nydus-rafs-v6.md 1.4, 1.5).
#include <fmt/format.h>

#include <set>

#include "erofs-format/bootstrap/reader_image.h"
#include "erofs-format/ondisk/blob.h"

namespace erofs_format::reader {

using namespace ondisk;

namespace {

constexpr uint32_t kMaxChunkCount = 1u << 24;
constexpr uint64_t kMaxCompressedSize = uint64_t{1} << 40;
constexpr uint64_t kMaxUncompressedSize = uint64_t{1} << 44;

// A blob id becomes a file name and a part of a URL.
bool safe_blob_id(std::string_view id) {
  if (id.empty() || id.front() == '.') return false;
  for (char c : id) {
    bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

#define BLOB_RULE(broken, field, text) \
  { (broken), at + offsetof(rafs_v6_blob, field), "blob table: " text }

Result<void> check_supported(const Image& image, uint32_t features) {
  if (features & kBlobExternal) return image.unsupported("external blobs");
  return {};
}

Result<void> check_features(const Image& image, const rafs_v6_blob& raw, uint64_t at) {
  uint32_t features = raw.features;
  bool tarfs = (features & kBlobTarfs) != 0;
  bool needs_v2 = (features & (kBlobBatch | kBlobZran | kBlobEncrypted)) != 0;
  TRY(check_rules(image,
                  {BLOB_RULE((features & kBlobIncompatMask & ~kBlobIncompatKnown) != 0, features,
                             "features has an unknown bit"),
                   BLOB_RULE((features & kBlobV5Internal) != 0, features, "features has the bit of RAFS v5"),
                   BLOB_RULE(needs_v2 && !(features & kBlobChunkInfoV2), features,
                             "features has batch, zran or encryption without chunk information v2"),
                   BLOB_RULE(tarfs != (image.block_size == 512), features,
                             "features do not agree with the superblock on tarfs"),
                   BLOB_RULE((features & kBlobZran) && !(features & kBlobSeparate), features,
                             "features has zran, but the chunk information would be in the gzip stream")}));
  TRY(check_supported(image, features));
  return check_rules(image, {BLOB_RULE(tarfs == ((features & kBlobAligned) != 0), features,
                                       "features are wrong about aligned chunks"),
                             BLOB_RULE(raw.cipher_algo != ((features & kBlobEncrypted) ? 1u : 0u),
                                       cipher_algo, "cipher_algo does not agree with features")});
}

// The information of each chunk takes a fixed number of bytes.
bool information_size_broken(const rafs_v6_blob& raw) {
  uint32_t features = raw.features;
  uint64_t size = raw.ci_uncompressed_size;
  uint64_t v2 = uint64_t{raw.chunk_count} * sizeof(chunk_info_v2);
  if (features & kBlobTarfs) return false;
  if (features & (kBlobBatch | kBlobZran | kBlobEncrypted)) return size < v2;
  if (features & kBlobChunkInfoV2) return size != v2;
  if (features & kBlobIsChunkdictGenerated) return false;
  return size != uint64_t{raw.chunk_count} * sizeof(chunk_info_v1);
}

Result<void> check_sizes(const Image& image, const Tree& tree, const rafs_v6_blob& raw, uint64_t at) {
  bool separate = (raw.features & kBlobSeparate) != 0;
  // Of the blob the information lies in; 0 = nobody says.
  uint64_t length = separate                        ? raw.blob_meta_size.value()
                    : raw.features & kBlobCapTarToc ? raw.compressed_size.value()
                                                    : 0;
  if (raw.features & kBlobTarfs) length = 0;
  bool whole_length = length != 0;
  uint64_t information_end = 0;
  bool overflow = !checked_add<uint64_t>(raw.ci_offset, raw.ci_compressed_size.value(), &information_end) ||
                  !checked_add<uint64_t>(information_end, sizeof(blob_meta_header), &information_end);
  return check_rules(
      image,
      {BLOB_RULE(raw.chunk_size != tree.chunk_size, chunk_size, "chunk_size is not that of the superblock"),
       BLOB_RULE(raw.chunk_count == 0 || raw.chunk_count > kMaxChunkCount, chunk_count,
                 "chunk_count is not 1 to 16777216"),
       BLOB_RULE(raw.compressor > 3, compressor, "compressor is unknown"),
       BLOB_RULE(raw.digester > 1, digester, "digester is unknown"),
       BLOB_RULE(raw.ci_compressor > 3, ci_compressor, "ci_compressor is unknown"),
       BLOB_RULE(raw.compressed_size > kMaxCompressedSize, compressed_size, "compressed_size is over 2^40"),
       BLOB_RULE(
           raw.uncompressed_size > kMaxUncompressedSize || raw.uncompressed_size % image.block_size != 0,
           uncompressed_size, "uncompressed_size is not a multiple of 4096 up to 2^44"),
       BLOB_RULE(raw.chunk_count > raw.uncompressed_size / image.block_size, chunk_count,
                 "chunk_count is larger than the blob has blocks"),
       BLOB_RULE(information_size_broken(raw), ci_uncompressed_size,
                 "ci_uncompressed_size does not agree with chunk_count"),
       BLOB_RULE(raw.ci_compressed_size > raw.ci_uncompressed_size, ci_compressed_size,
                 "ci_compressed_size is larger than ci_uncompressed_size"),
       BLOB_RULE(overflow || (whole_length && information_end > length), ci_offset,
                 "ci_offset puts the chunk information past the end of the blob")});
}

Result<void> check_slot(const Image& image, const erofs_deviceslot& slot, const rafs_v6_blob& raw,
                        uint64_t at) {
  uint64_t blocks = raw.uncompressed_size / image.block_size;
  if (std::memcmp(slot.tag, raw.blob_id, sizeof(slot.tag)) != 0)
    return image.corrupt(at, "device table: tag is not the id in the blob table");
  if (slot.blocks == 0 || slot.blocks != blocks)
    return image.corrupt(at + offsetof(erofs_deviceslot, blocks),
                         "device table: blocks is not the uncompressed size of the blob");
  for (uint8_t byte : slot.reserved) {
    if (byte == 0) continue;
    image.note(at + offsetof(erofs_deviceslot, reserved), "device table: reserved bytes are not 0");
    break;
  }
  return {};
}

// Mapped ranges must be usable side by side behind the bootstrap; 0 = not mapped (before v2.3).
Result<void> check_mapped(const Image& image, const Tree& tree) {
  uint64_t end = image.size() / image.block_size;
  for (size_t i = 0; i < tree.blobs.size(); i++) {
    uint64_t start = tree.blobs[i].mapped_blkaddr;
    if (start == 0) continue;
    uint64_t at =
        kRafsDeviceTableOffset + i * sizeof(erofs_deviceslot) + offsetof(erofs_deviceslot, mapped_blkaddr);
    if (start < end) return image.corrupt(at, "device table: mapped_blkaddr overlaps what lies before it");
    end = start + tree.blobs[i].uncompressed_size / image.block_size;
    if (end > UINT32_MAX) return image.corrupt(at, "device table: mapped range ends beyond 2^32 blocks");
  }
  return {};
}

Digest take_digest(const uint8_t (&field)[32]) {
  Digest digest;
  std::memcpy(digest.bytes.data(), field, sizeof(field));
  return digest;
}

void take_key(const rafs_v6_blob& raw, Blob& blob) {
  blob.encrypted = raw.cipher_algo == 1;
  if (!blob.encrypted) {
    blob.meta_digest = take_digest(raw.blob_meta_digest);
    blob.meta_size = raw.blob_meta_size;
    return;
  }
  std::memcpy(blob.key.key.data(), raw.blob_meta_digest, 32);
  std::memcpy(blob.key.iv.data(), &raw.blob_meta_size, 8);
  std::memcpy(blob.key.iv.data() + 8, &raw.cipher_iv, 8);
}

Blob take_blob(const rafs_v6_blob& raw, const erofs_deviceslot& slot) {
  Blob blob;
  blob.id = text_field(raw.blob_id);
  blob.chunk_size = raw.chunk_size;
  blob.chunk_count = raw.chunk_count;
  blob.compressor = static_cast<Compressor>(raw.compressor.value());
  blob.digester = static_cast<Digester>(raw.digester.value());
  blob.features = raw.features;
  blob.compressed_size = raw.compressed_size;
  blob.uncompressed_size = raw.uncompressed_size;
  blob.toc_size = raw.blob_toc_size;
  blob.ci_compressor = raw.ci_compressor;
  blob.ci_offset = raw.ci_offset;
  blob.ci_compressed_size = raw.ci_compressed_size;
  blob.ci_uncompressed_size = raw.ci_uncompressed_size;
  blob.toc_digest = take_digest(raw.blob_toc_digest);
  blob.mapped_blkaddr = slot.mapped_blkaddr;
  take_key(raw, blob);
  return blob;
}

Result<void> check_blob(const Image& image, const Tree& tree, const rafs_v6_blob& raw, uint32_t index,
                        uint64_t at) {
  std::string_view id = text_field(raw.blob_id);
  TRY(check_rules(image, {BLOB_RULE(!safe_blob_id(id), blob_id, "blob_id is not a name"),
                          BLOB_RULE(raw.blob_index != index, blob_index, "blob_index is not its position")}));
  TRY(check_features(image, raw, at));
  return check_sizes(image, tree, raw, at);
}

}  // namespace

Result<void> parse_blobs(Image& image, Tree& tree) {
  auto slots = structs_at<erofs_deviceslot>(image.bytes, kRafsDeviceTableOffset, image.device_count);
  auto raws = structs_at<rafs_v6_blob>(image.bytes, image.blob_table_offset, image.device_count);
  std::set<std::string> seen;
  for (uint32_t i = 0; i < image.device_count; i++) {
    uint64_t at = image.blob_table_offset + i * sizeof(rafs_v6_blob);
    uint64_t slot_at = kRafsDeviceTableOffset + i * sizeof(erofs_deviceslot);
    TRY(check_blob(image, tree, raws[i], i, at));
    TRY(check_slot(image, slots[i], raws[i], slot_at));
    Blob blob = take_blob(raws[i], slots[i]);
    if (!seen.insert(blob.id).second) return image.corrupt(slot_at, "device table: tag is used twice");
    tree.blobs.push_back(std::move(blob));
  }
  return check_mapped(image, tree);
}

}  // namespace erofs_format::reader
