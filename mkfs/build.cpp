#include "mkfs/build.h"

#include <fmt/format.h>

#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/bootstrap/bootstrap_writer.h"
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
  void end_pipeline();
  Result<void> finish_blob();
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
    TRY_ASSIGN(MutableBytes room, pipeline_->room(size));
    TRY(fill(room, entry, offset));
    pipeline_->add(id, offset, size, entry.size <= chunk_size);
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

// The memory it has is needed for the bootstrap.
void Build::end_pipeline() {
  result_.counters.chunks = pipeline_->table().chunks.size();
  result_.counters.duplicates = pipeline_->duplicates();
  pipeline_.reset();
}

Result<void> Build::write_bootstrap() {
  Keep keep = options_.keep_tree ? Keep::inodes : Keep::nothing;
  TRY_ASSIGN(result_.bootstrap, drain_to_bootstrap(result_.tree, keep));
  return {};
}

Result<void> Build::inline_bootstrap(Blob& own) {
  own.id = kUnknownBlobId;
  TRY(write_bootstrap());
  return writer_.append_bootstrap(result_.bootstrap);
}

Result<void> Build::finish_blob() {
  bool has_chunks = !pipeline_->table().chunks.empty();
  Blob none;
  Blob& own = has_chunks ? result_.tree.blobs[pipeline_->own_blob()] : none;
  describe_blob(options_.chunks, own);
  TRY(writer_.finish_data(pipeline_->table(), own_digests(), own));
  end_pipeline();
  if (options_.blob.inline_meta) TRY(inline_bootstrap(own));
  result_.has_blob = has_chunks || options_.blob.inline_meta;
  if (result_.has_blob) TRY(writer_.finish(own));
  result_.blob_digest = writer_.digest();
  result_.blob_id = options_.blob_id.empty() ? to_hex(result_.blob_digest) : options_.blob_id;
  own.id = result_.blob_id;
  return {};
}

Result<BuildResult> Build::run() {
  TRY_ASSIGN(pipeline_, ChunkPipeline::create(options_.chunks, pool_, writer_, chunks_,
                                              [this](InodeId inode, ChunkId chunk) {
                                                builder_.inode(inode).chunks.push_back(chunk);
                                              }));
  TRY(read_source());
  TRY(pipeline_->finish());
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
