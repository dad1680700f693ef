#include "mkfs/convert_layer.h"

#include <fmt/format.h>

#include "erofs-format/image/bootstrap_layer.h"
#include "erofs-format/image/verified_source.h"
#include "mkfs/source_tar.h"

namespace mkfs {

namespace {

// Inflating and hashing run this far ahead of the tar reader.
constexpr size_t kReadAheadBuffer = size_t{1} << 20;
constexpr size_t kReadAheadDepth = 4;

// Ends a build when another layer has failed.
class StoppableSource : public ByteSource {
 public:
  StoppableSource(std::unique_ptr<ByteSource> source, const std::atomic<bool>& stop)
      : source_(std::move(source)), stop_(stop) {}
  Result<size_t> read(MutableBytes into) override {
    if (stop_) return make_error(Code::cancelled, "stopped");
    return source_->read(into);
  }

 private:
  std::unique_ptr<ByteSource> source_;
  const std::atomic<bool>& stop_;
};

Result<void> check_media_type(const SourceLayer& layer) {
  const std::string& type = layer.descriptor.media_type;
  std::string_view why = type == kNydusBlobType                  ? "is a Nydus blob already"
                         : type.find("+encrypted") != type.npos  ? "not supported yet: encrypted layers"
                         : type.find("tar") == std::string::npos ? "is no tar layer"
                                                                 : "";
  if (why.empty()) return {};
  return make_error(Code::unsupported, fmt::format("{}: {} ({})", layer.name, why, printable(type)));
}

// The tar inside: both what is stored and what comes out are verified at their end.
Result<std::unique_ptr<ByteSource>> open_tar(const ImageStore& source, const SourceLayer& layer,
                                             const std::atomic<bool>& stop) {
  TRY_ASSIGN(auto stored, source.open_blob(layer.descriptor, layer.name));
  stored = std::make_unique<StoppableSource>(std::move(stored), stop);
  TRY_ASSIGN(auto tar, make_sniffing_source(std::move(stored), layer.name));
  tar = make_verified_source(std::move(tar), layer.diff_id, std::nullopt, layer.name + ": uncompressed");
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

Result<BuildResult> build(const ImageStore& source, const SourceLayer& layer, const BuildOptions& options,
                          WorkerPool& pool, const os::PendingFile& file, const std::atomic<bool>& stop) {
  TRY_ASSIGN(auto tar, open_tar(source, layer, stop));
  TRY_ASSIGN(auto entries, make_tar_source(std::move(tar), layer.name));
  return build_image(*entries, options, pool, file.fd(), file.temporary_path());
}

}  // namespace

Result<ConvertedLayer> convert_layer(const ImageStore& source, ImageTarget& target, const SourceLayer& layer,
                                     const BuildOptions& options, WorkerPool& pool,
                                     const std::atomic<bool>& stop) {
  TRY(check_media_type(layer));
  TRY_ASSIGN(os::PendingFile file, target.new_blob());
  auto built = build(source, layer, options, pool, file, stop);
  if (!built) return name_source(layer.name, true_cause(source, layer, std::move(built).error()));

  ConvertedLayer converted{std::move(built->tree), built->blob_digest, built->counters.bytes_out, {}, {}};
  std::string id = to_hex(converted.digest);
  for (Blob& blob : converted.tree.blobs) {
    if (blob.id != id) continue;
    blob.compressed_size = converted.size;
    TRY_ASSIGN(converted.chunk_table, cached_chunk_table(blob, file.fd(), layer.name));
  }
  TRY(target.add(std::move(file), converted.digest, converted.size));
  converted.report = {layer.descriptor.digest, layer.descriptor.size, converted.digest, converted.size,
                      built->counters};
  return converted;
}

}  // namespace mkfs
