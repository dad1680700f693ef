#include "mkfs/convert_layer.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/stream.h"
#include "erofs-format/image/bootstrap_layer.h"
#include "erofs-format/image/verified_source.h"
#include "mkfs/source_tar.h"

namespace mkfs {

namespace {

// Inflating and hashing run this far ahead of the tar reader.
constexpr size_t kReadAheadBuffer = size_t{1} << 20;
constexpr size_t kReadAheadDepth = 4;

// Counts what is read, and ends a build when another layer has failed.
class WatchedSource : public ByteSource {
 public:
  WatchedSource(std::unique_ptr<ByteSource> source, std::atomic<uint64_t>& count,
                const std::atomic<bool>& stop)
      : source_(std::move(source)), count_(count), stop_(stop) {}
  Result<size_t> read(MutableBytes into) override {
    if (stop_) return make_error(Code::cancelled, "stopped");
    TRY_ASSIGN(size_t bytes, source_->read(into));
    count_ += bytes;
    return bytes;
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::atomic<uint64_t>& count_;
  const std::atomic<bool>& stop_;
};

// As Windows' base layers are: their makers do not allow that they are stored elsewhere.
bool is_foreign(const Descriptor& layer) {
  return layer.media_type.find("foreign") != std::string::npos ||
         layer.media_type.find("nondistributable") != std::string::npos;
}

// The tar inside: both what is stored and what comes out are verified at their end.
Result<std::unique_ptr<ByteSource>> open_tar(const LayerContext& context, const SourceLayer& layer) {
  TRY_ASSIGN(auto stored, context.source.open_blob(layer.descriptor, layer.name));
  stored = std::make_unique<WatchedSource>(std::move(stored), layer.progress.pulled, context.stop);
  TRY_ASSIGN(auto tar, make_sniffing_source(std::move(stored), layer.name));
  tar = make_verified_source(std::move(tar), layer.diff_id, std::nullopt, layer.name + ": uncompressed");
  tar = std::make_unique<WatchedSource>(std::move(tar), layer.progress.converted, context.stop);
  return make_read_ahead_source(std::move(tar), kReadAheadBuffer, kReadAheadDepth);
}

// Reads the stored bytes alone. A damaged blob shows as whatever its damage does to gzip or tar;
// that its digest is wrong says more.
Error true_cause(const ImageStore& source, const SourceLayer& layer, Error error) {
  if (error.code == Code::cancelled) return error;
  auto stored = source.open_blob(layer.descriptor, layer.name);
  if (!stored) return error;
  auto verdict = drain(**stored);
  if (!verdict && verdict.error().code == Code::digest_mismatch) return std::move(verdict).error();
  return error;
}

Result<BuildResult> build(LayerContext& context, const SourceLayer& layer, const BuildOptions& options,
                          const os::PendingFile& file) {
  TRY_ASSIGN(auto tar, open_tar(context, layer));
  TRY_ASSIGN(auto entries, make_tar_source(std::move(tar), layer.name));
  return build_image(*entries, options, context.pool, file.fd(), file.temporary_path());
}

Blob* own_blob(Tree& tree, const Digest& digest) {
  std::string id = to_hex(digest);
  auto own =
      std::find_if(tree.blobs.begin(), tree.blobs.end(), [&](const Blob& blob) { return blob.id == id; });
  return own == tree.blobs.end() ? nullptr : &*own;
}

Result<LayerMetadata> metadata_in(const os::PendingFile& file, const Descriptor& blob, const Blob* own) {
  LayerMetadata metadata;
  if (own) metadata.offset = own->ci_offset;
  Sha256 hash;
  if (metadata.offset < blob.size)
    TRY(read_in_pieces(file.fd(), metadata.offset, blob.size - metadata.offset, file.temporary_path(),
                       [&](ByteView part) -> Result<void> {
                         hash.update(part);
                         return {};
                       }));
  metadata.digest = hash.digest();
  return metadata;
}

}  // namespace

Result<void> check_media_type(const SourceLayer& layer) {
  const std::string& type = layer.descriptor.media_type;
  std::string_view why = type == kNydusBlobType                 ? "is a Nydus blob already"
                         : type.find("+encrypted") != type.npos ? "not supported yet: encrypted layers"
                         : is_foreign(layer.descriptor) ? "is a foreign layer, whose bytes no registry has"
                         : type.find("tar") == std::string::npos ? "is no tar layer"
                                                                 : "";
  if (why.empty()) return {};
  return make_error(Code::unsupported, fmt::format("{}: {} ({})", layer.name, why, printable(type)));
}

Moved pushing(LayerContext& context, LayerProgress& progress) {
  return [&context, &progress](uint64_t bytes) -> Result<void> {
    progress.pushed = bytes;
    if (context.stop) return make_error(Code::cancelled, "stopped");
    return {};
  };
}

Result<ConvertedLayer> convert_layer(LayerContext& context, const SourceLayer& layer,
                                     const BuildOptions& options) {
  TRY_ASSIGN(os::PendingFile file, context.target.new_blob());
  auto built = build(context, layer, options, file);
  if (!built) return name_source(layer.name, true_cause(context.source, layer, std::move(built).error()));

  ConvertedLayer converted{
      std::move(built->tree), blob_descriptor(built->blob_digest, built->counters.bytes_out), {}, {}};
  Blob* own = own_blob(converted.tree, built->blob_digest);
  if (own) {
    own->compressed_size = converted.blob.size;
    TRY_ASSIGN(converted.chunk_table, cached_chunk_table(*own, file.fd(), layer.name));
  }
  TRY_ASSIGN(LayerMetadata metadata, metadata_in(file, converted.blob, own));
  LayerIdentity identity = {layer.diff_id, build_words(options)};
  annotate(converted.blob, identity, metadata);
  if (context.cache) TRY(context.cache->add(identity, converted.blob, file.fd()));
  layer.progress.blob_size = converted.blob.size;
  TRY(context.target.add(std::move(file), converted.blob.digest, converted.blob.size,
                         pushing(context, layer.progress)));
  converted.report = {{},           layer.descriptor,      converted.blob,       built->counters,
                      std::nullopt, layer.progress.pulled, layer.progress.pushed};
  return converted;
}

}  // namespace mkfs
