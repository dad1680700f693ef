#include "fscached/object/image.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "erofs-format/base/os.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/ondisk/rafs.h"
#include "fscached/limits.h"
#include "fscached/storage/blob_name.h"

namespace fscached {

namespace {

struct Place {
  InodeId inode;
  std::string path;
};

// Any regular file with data will do: the first one, folders in order.
void choose_canary(const Tree& tree, ImageDescription& image) {
  std::vector<Place> open = {{kRootInode, ""}};
  while (!open.empty()) {
    Place place = std::move(open.back());
    open.pop_back();
    const Inode& inode = tree.inodes[place.inode];
    if (inode.is_regular() && !inode.chunks.empty()) {
      const Chunk& chunk = tree.chunks[inode.chunks[0]];
      image.canary_path = place.path;
      image.canary_blob = chunk.blob_index;
      image.canary_chunk = chunk.index;
      return;
    }
    if (!inode.is_directory() || !inode.entries) continue;
    for (auto entry = inode.entries->rbegin(); entry != inode.entries->rend(); ++entry) {
      std::string path = place.path.empty() ? entry->name : place.path + "/" + entry->name;
      if (path.size() < kMaxPath) open.push_back({entry->inode, std::move(path)});
    }
  }
}

void collect_digests(const Tree& tree, ImageDescription& image) {
  for (const Chunk& chunk : tree.chunks) {
    std::vector<Digest>& digests = image.blobs[chunk.blob_index].digests;
    if (chunk.index >= digests.size()) digests.resize(chunk.index + size_t{1});
    digests[chunk.index] = chunk.digest;
  }
}

Result<void> check_unused_chunks(const Tree& tree) {
  std::vector<uint64_t> lengths(tree.blobs.size());
  for (const Chunk& chunk : tree.chunks)
    lengths[chunk.blob_index] = std::max(lengths[chunk.blob_index], chunk.index + uint64_t{1});
  uint64_t entries = 0;
  for (size_t i = 0; i < lengths.size(); i++)
    entries += tree.blobs[i].needs_chunk_information() ? tree.blobs[i].chunk_count : lengths[i];
  if (entries <= tree.chunks.size() + uint64_t{kMaxUnusedChunks}) return {};
  return make_error(Code::too_large,
                    fmt::format("tables of {} chunks for the {} it has; {} unused ones are the limit",
                                entries, tree.chunks.size(), kMaxUnusedChunks));
}

Result<ImageDescription> describe(const Tree& tree) {
  ImageDescription image;
  image.inodes = tree.inodes.size();
  for (const Inode& inode : tree.inodes)
    if (inode.is_regular()) image.bytes += inode.size;
  for (uint32_t i = 0; i < tree.blobs.size(); i++) {
    BlobUse use;
    use.blob = tree.blobs[i];
    TRY(check_blob_id(use.blob.id));
    // Nothing says of a part of such a tar whether it is right.
    if (use.blob.has(ondisk::kBlobTarfs))
      return make_error(Code::unsupported, fmt::format("blob {}: not supported yet: tarfs", use.blob.id));
    use.needs_chunk_table = use.blob.needs_chunk_information();
    if (!use.needs_chunk_table) {
      TRY_ASSIGN(use.table, chunk_table_from_bootstrap(tree, i));
    }
    image.blobs.push_back(std::move(use));
  }
  collect_digests(tree, image);
  choose_canary(tree, image);
  return image;
}

Result<ImageDescription> read_and_describe(ByteView bootstrap, const std::string& name,
                                           const std::vector<std::string>& blob_names) {
  TRY_ASSIGN(Tree tree, read_bootstrap(bootstrap, name));
  if (auto checked = check_unused_chunks(tree); !checked) return std::move(checked).error().within(name);
  for (size_t i = 0; i < tree.blobs.size() && i < blob_names.size(); i++) tree.blobs[i].id = blob_names[i];
  return describe(tree);
}

}  // namespace

Result<std::vector<std::string>> inlined_blob_names(const std::string& path, int descriptor,
                                                    uint64_t bootstrap_size) {
  std::vector<std::string> names;
  TRY_ASSIGN(struct stat status, os::stat_of(descriptor, path));
  if (static_cast<uint64_t>(status.st_size) == bootstrap_size) return names;
  TRY_ASSIGN(Tree tree, open_bootstrap(path, nullptr, descriptor));
  for (const Blob& blob : tree.blobs) names.push_back(blob.id);
  return names;
}

Result<ImageDescription> describe_image(ByteView bootstrap, const std::string& name,
                                        const std::vector<std::string>& blob_names) {
  auto image = read_and_describe(bootstrap, name, blob_names);
  // The tree was large and is gone: its memory goes back.
  malloc_trim(0);
  return image;
}

}  // namespace fscached
