// A layer out of the end of its blob: nothing is converted, and its data need not even be read.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/image/bootstrap_layer.h"
#include "erofs-format/image/verified_source.h"
#include "mkfs/convert_layer.h"
#include "mkfs/merge.h"

namespace mkfs {

namespace {

// A blob in memory of which only the metadata is there; the rest is a hole.
Result<os::UniqueFd> blob_without_data(const KnownLayer& known, const std::string& name) {
  TRY_ASSIGN(LayerMetadata metadata, metadata_of(known.blob));
  os::UniqueFd fd(::memfd_create("layer", MFD_CLOEXEC));
  if (!fd.valid()) return errno_error("memfd_create");
  TRY_ASSIGN(auto part, known.store->open_part(known.blob, metadata.offset, name));
  part = make_verified_source(std::move(part), metadata.digest, known.blob.size - metadata.offset,
                              name + ": its metadata");
  Buffer buffer(size_t{1} << 16);
  for (uint64_t offset = metadata.offset;;) {
    TRY_ASSIGN(size_t count, part->read(buffer));
    if (count == 0) return fd;
    TRY(os::pwrite_all(fd.get(), offset, ByteView(buffer).first(count), name));
    offset += count;
  }
}

// What the blob could not know of itself when its bootstrap was written.
Result<OwnBlob> own_blob(const Descriptor& blob, int fd, const std::string& name) {
  OwnBlob own;
  own.blob_digest = blob.digest;
  own.size = blob.size;
  ondisk::tar_header last = {};
  Buffer header(sizeof last);
  TRY(os::pread_exact(fd, blob.size - header.size(), header, name));
  TRY_ASSIGN(SectionHeader section, parse_section_header(header));
  own.toc_size = section.size + header.size();
  if (*own.toc_size > blob.size)
    return make_error(Code::corrupt, name + ": the table of contents is too long");
  Buffer toc(*own.toc_size);
  TRY(os::pread_exact(fd, blob.size - toc.size(), toc, name));
  own.toc_digest = toc_digest(toc);
  return own;
}

Result<Tree> layer_tree(const KnownLayer& known, int fd, const Dictionary* dictionary,
                        const std::string& name) {
  TRY_ASSIGN(Buffer bootstrap, load_bootstrap(name, fd));
  TRY_ASSIGN(Tree tree, take_tree(std::move(bootstrap), name));
  std::set<std::string> others;
  if (dictionary)
    for (const Blob& blob : dictionary->blobs()) others.insert(blob.id);
  TRY_ASSIGN(OwnBlob own, own_blob(known.blob, fd, name));
  TRY(fix_own_blob(tree, name, own, others));
  return tree;
}

}  // namespace

Result<ConvertedLayer> reuse_layer(LayerContext& context, const SourceLayer& layer,
                                   const BuildOptions& options, const KnownLayer& known) {
  std::string name = fmt::format("{}: blob {}", layer.name, digest_text(known.blob.digest));
  TRY_ASSIGN(os::UniqueFd fd, blob_without_data(known, name));
  ConvertedLayer reused;
  reused.blob = known.blob;
  TRY_ASSIGN(reused.tree, layer_tree(known, fd.get(), options.chunks.dictionary, name));
  for (const Blob& blob : reused.tree.blobs) {
    if (blob.id != to_hex(known.blob.digest)) continue;
    TRY_ASSIGN(reused.chunk_table, cached_chunk_table(blob, fd.get(), name));
  }
  TRY_ASSIGN(Arrival arrival,
             context.target.take(known.blob, *known.store, name, pushing(context, layer.progress)));
  reused.report = {{}, layer.descriptor, known.blob, {}, arrival, 0, layer.progress.pushed};
  return reused;
}

}  // namespace mkfs
