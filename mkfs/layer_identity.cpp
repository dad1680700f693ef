#include "mkfs/layer_identity.h"

#include <fmt/format.h>

#include "erofs-format/base/options.h"
#include "erofs-format/image/manifest.h"

namespace mkfs {

namespace {

// Another number, and no older layer is found: to be changed when the same source and options give another
// layer.
constexpr int kLayerVersion = 1;

constexpr const char* kDiffIdAnnotation = "nydus-erofs.source-diff-id";
constexpr const char* kBuildAnnotation = "nydus-erofs.build";
constexpr const char* kMetadataAnnotation = "nydus-erofs.metadata";

}  // namespace

std::string build_words(const BuildOptions& options) {
  const ChunkOptions& chunks = options.chunks;
  std::string words = fmt::format(
      "v{} {} level={} chunk={} batch={} {}", kLayerVersion, to_string(chunks.compressor), chunks.level,
      chunks.chunk_size, chunks.batch_size, chunks.digester == Digester::blake3 ? "blake3" : "sha256");
  if (options.tree.all_root) words += " all-root";
  if (options.tree.latest_mtime != TreeOptions().latest_mtime)
    words += fmt::format(" mtime<={}", options.tree.latest_mtime);
  if (chunks.dictionary) words += " dict=" + to_hex(chunks.dictionary->identity());
  return words;
}

Descriptor blob_descriptor(const Digest& digest, uint64_t size) {
  Descriptor descriptor;
  descriptor.media_type = kNydusBlobType;
  descriptor.digest = digest;
  descriptor.size = size;
  descriptor.annotations[std::string(kNydusBlobAnnotation)] = "true";
  return descriptor;
}

void annotate(Descriptor& blob, const LayerIdentity& identity, const LayerMetadata& metadata) {
  blob.annotations[kDiffIdAnnotation] = digest_text(identity.diff_id);
  blob.annotations[kBuildAnnotation] = identity.build;
  blob.annotations[kMetadataAnnotation] = fmt::format("{}@{}", digest_text(metadata.digest), metadata.offset);
}

std::optional<LayerIdentity> identity_of(const Descriptor& blob) {
  if (blob.media_type != kNydusBlobType) return std::nullopt;
  auto diff_id = parse_digest(blob.annotation(kDiffIdAnnotation));
  std::string build = blob.annotation(kBuildAnnotation);
  if (!diff_id || build.empty()) return std::nullopt;
  return LayerIdentity{*diff_id, std::move(build)};
}

Result<LayerMetadata> metadata_of(const Descriptor& blob) {
  std::string text = blob.annotation(kMetadataAnnotation);
  size_t at = std::min(text.find('@'), text.size());
  LayerMetadata metadata;
  TRY_ASSIGN(metadata.digest, parse_digest(text.substr(0, at)));
  TRY_ASSIGN(metadata.offset, parse_number(std::string_view(text).substr(std::min(at + 1, text.size())),
                                           INT64_MAX, kMetadataAnnotation));
  if (metadata.offset >= blob.size)
    return make_error(Code::corrupt, fmt::format("{}: {} is not in the blob", kMetadataAnnotation, text));
  return metadata;
}

}  // namespace mkfs
