#include "mkfs/build.h"

#include <fmt/format.h>

#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/bootstrap/bootstrap_writer.h"
#include "erofs-format/ondisk/rafs.h"
#include "mkfs/prefetch.h"

namespace mkfs {

namespace {

// What an inlined bootstrap calls its own blob: the id is known only when the blob is complete.
const std::string kUnknownBlobId(64, 'x');

class Build {
 public:
  Build(Source& source, const BuildOptions& options, WorkerPool& pool, int blob_fd,
        const std::string& blob_name)
      : source_(source),
        options_(options),
        pool_(pool),
        writer_(blob_fd, blob_name, options.blob),
        builder_(options.tree) {}
  Result<BuildResult> run();

 private:
  Result<void> read_source();
  Result<void> read_content(InodeId id, const SourceEntry& entry);
  Result<void> fill(MutableBytes room, const SourceEntry& entry, uint64_t offset);
  void make_tree();
  std::vector<Digest> own_digests() const;
  Result<void> finish_chunks(Blob& own);
  Result<void> finish_blob();
  Result<void> leave_in_original(Blob& own, ChunkTable& table);
  Result<void> finish_tarfs();
  Result<void> write_bootstrap();
  Result<void> inline_bootstrap(Blob& own);

  Source& source_;
  const BuildOptions& options_;
  WorkerPool& pool_;
  BlobWriter writer_;
  TreeBuilder builder_;
  Tree chunks_;  // chunks and blobs only; the pipeline's part of the tree
  std::unique_ptr<ChunkPipeline> pipeline_;
  BuildResult result_;
};

Result<void> Build::fill(MutableBytes room, const SourceEntry& entry, uint64_t offset) {
  for (size_t filled = 0; filled < room.size();) {
    TRY_ASSIGN(size_t n, source_.read(room.subspan(filled)));
    if (n == 0)
      return make_error(Code::changed, fmt::format("{}: ends at byte {} instead of {}", printable(entry.path),
                                                   offset + filled, entry.size));
    filled += n;
  }
  return {};
}

Result<void> Build::read_content(InodeId id, const SourceEntry& entry) {
  uint64_t chunk_size = options_.chunks.chunk_size;
  for (uint64_t offset = 0; offset < entry.size; offset += chunk_size) {
    auto size = static_cast<uint32_t>(std::min(chunk_size, entry.size - offset));
    auto position = source_.position();
    if (options_.original && !position)
      return make_error(Code::unsupported,
                        printable(entry.path) + ": a sparse file cannot stay in the tar as it is");
    TRY_ASSIGN(MutableBytes room, pipeline_->room(size));
    TRY(fill(room, entry, offset));
    pipeline_->add(id, offset, size, entry.size <= chunk_size, position.value_or(0));
  }
  result_.counters.bytes_in += entry.size;
  return {};
}

Result<void> Build::read_source() {
  SourceEntry entry;
  for (;;) {
    TRY_ASSIGN(bool more, source_.next(entry));
    if (!more) return {};
    result_.counters.files++;
    TRY_ASSIGN(InodeId id, builder_.add(entry));
    if (id != kNoInode && S_ISREG(entry.mode) && entry.hard_link_to.empty()) TRY(read_content(id, entry));
  }
}

void Build::make_tree() {
  Tree tree = builder_.finish();
  tree.chunks = std::move(chunks_.chunks);
  tree.blobs = std::move(chunks_.blobs);
  tree.chunk_size = options_.chunks.chunk_size;
  tree.compressor = options_.chunks.compressor;
  tree.digester = options_.chunks.digester;
  if (options_.original && options_.original->is_gzip()) tree.compressor = Compressor::gzip;
  if (options_.chunks.places == ChunkPlaces::tar) tree.block_size = 512;
  tree.explicit_uid_gid = options_.explicit_uid_gid;
  if (!tree.explicit_uid_gid)
    for (auto& inode : tree.inodes) inode.uid = inode.gid = 0;
  if (options_.prefetch_table) tree.prefetch = resolve_prefetch(tree, options_.prefetch);
  result_.tree = std::move(tree);
}

// Of the chunks in the blob, in their order; only where the blob has a list of them.
std::vector<Digest> Build::own_digests() const {
  std::vector<Digest> digests;
  if (!options_.blob.toc) return digests;
  for (const Chunk& chunk : result_.tree.chunks)
    if (chunk.blob_index == pipeline_->own_blob()) digests.push_back(chunk.digest);
  return digests;
}

Result<void> Build::write_bootstrap() {
  Keep keep = options_.keep_tree ? Keep::inodes : Keep::nothing;
  TRY_ASSIGN(result_.bootstrap, drain_to_bootstrap(result_.tree, keep));
  return {};
}

Result<void> Build::inline_bootstrap(Blob& own) {
  if (!options_.original) own.id = kUnknownBlobId;
  TRY(write_bootstrap());
  return writer_.append_bootstrap(result_.bootstrap);
}

// The blob is the tar the source was; the one written, if any, says where its chunks are.
Result<void> Build::leave_in_original(Blob& own, ChunkTable& table) {
  const Original& original = *options_.original;
  own.id = to_hex(original.digest());
  own.compressed_size = original.size();
  if (original.is_gzip()) own.compressor = Compressor::gzip;
  TRY(original.locate(table));
  for (Chunk& chunk : result_.tree.chunks) {
    const ChunkSpan& span = table.chunks[chunk.index];
    chunk.compressed_offset = span.compressed_offset;
    chunk.compressed_size = span.compressed_size;
    if (span.compressed) chunk.flags |= ondisk::kChunkCompressed;
  }
  return {};
}

// Nothing is written but the bootstrap.
Result<void> Build::finish_tarfs() {
  if (pipeline_->table().chunks.empty()) {
    pipeline_.reset();
    return {};
  }
  if (options_.original->size() % 512 != 0)
    return make_error(Code::invalid_argument,
                      fmt::format("a tar of {} bytes is no device: it does not end with a block of 512",
                                  options_.original->size()));
  Blob& own = result_.tree.blobs[pipeline_->own_blob()];
  describe_blob(options_.chunks, own);
  own.id = to_hex(options_.original->digest());
  own.features = ondisk::kBlobTarfs | ondisk::kBlobCapTarToc;
  own.chunk_count = narrow<uint32_t>(pipeline_->table().chunks.size());
  own.compressed_size = own.uncompressed_size = options_.original->size();
  pipeline_.reset();
  return {};
}

// What it needs is free again before the bootstrap is made.
Result<void> Build::finish_chunks(Blob& own) {
  ChunkTable table = pipeline_->take_table();
  if (options_.original && !table.chunks.empty()) TRY(leave_in_original(own, table));
  return writer_.finish_data(table, own_digests(), own);
}

Result<void> Build::finish_blob() {
  if (options_.chunks.places == ChunkPlaces::tar) return finish_tarfs();
  bool has_chunks = !pipeline_->table().chunks.empty();
  Blob none;
  Blob& own = has_chunks ? result_.tree.blobs[pipeline_->own_blob()] : none;
  describe_blob(options_.chunks, own);
  TRY(finish_chunks(own));
  pipeline_.reset();  // its memory is needed for the bootstrap
  if (options_.blob.inline_meta) TRY(inline_bootstrap(own));
  result_.has_blob = has_chunks || options_.blob.inline_meta;
  if (result_.has_blob) TRY(writer_.finish(own));
  result_.blob_digest = writer_.digest();
  result_.blob_id = options_.blob_id.empty() ? to_hex(result_.blob_digest) : options_.blob_id;
  if (options_.original) {
    own.meta_digest = result_.blob_digest;
  } else {
    own.id = result_.blob_id;
  }
  return {};
}

Result<BuildResult> Build::run() {
  TRY_ASSIGN(pipeline_, ChunkPipeline::create(options_.chunks, pool_, writer_, chunks_,
                                              [this](InodeId inode, ChunkId chunk) {
                                                builder_.inode(inode).chunks.push_back(chunk);
                                              }));
  TRY(read_source());
  TRY(pipeline_->finish());
  result_.counters.chunks = pipeline_->table().chunks.size();
  result_.counters.duplicates = pipeline_->duplicates();
  make_tree();
  TRY(finish_blob());
  if (!options_.blob.inline_meta) TRY(write_bootstrap());
  if (options_.keep_tree) {
    TRY_ASSIGN(result_.tree.chunks, take_chunks(std::move(result_.bootstrap), "bootstrap just written"));
  }
  result_.counters.bytes_out = writer_.size();
  return std::move(result_);
}

}  // namespace

Result<BuildResult> build_image(Source& source, const BuildOptions& options, WorkerPool& pool, int blob_fd,
                                const std::string& blob_name) {
  return Build(source, options, pool, blob_fd, blob_name).run();
}

}  // namespace mkfs
