// chunkdict generate: what several images have in common, as an image to build others against.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/ondisk/rafs.h"
#include "mkfs/build_output.h"
#include "mkfs/commands.h"
#include "mkfs/dictionary.h"
#include "mkfs/output_json.h"
#include "mkfs/repack.h"

namespace mkfs {

namespace {

constexpr Option kOptions[] = {
    {"bootstrap", 'B', "FILE", "write the dictionary here"},
    {"blob-dir", 'D', "DIR", "write it here instead, named by its SHA-256"},
    {"output-json", 'J', "FILE", "write the ids of its blobs as JSON"},
    {"database", 0, "URL", "accepted, has no effect: none is needed"},
    {"prefetch-policy", 0, "POLICY", "accepted, has no effect"},
    {"config", 'C', "FILE", "accepted, has no effect"},
    {"verbose", 'v', "", "accepted, has no effect"},
    kLogLevelOption,
    kLogFileOption,
};

Result<std::vector<Tree>> open_sources(const std::vector<std::string>& paths) {
  std::vector<Tree> trees;
  for (const std::string& path : paths) {
    TRY_ASSIGN(Tree tree, open_bootstrap(path));
    tree.inodes.clear();
    const Tree& first = trees.empty() ? tree : trees[0];
    if (tree.chunk_size != first.chunk_size || tree.digester != first.digester)
      return make_error(Code::unsupported,
                        fmt::format("{}: chunk size or digester is not that of {}", path, paths[0]));
    trees.push_back(std::move(tree));
  }
  return trees;
}

// ChunkKeys that at least two of the images have; of one image alone, all.
ChunkKeys common_contents(const std::vector<Tree>& trees) {
  std::unordered_map<ChunkKey, size_t, ChunkKeyHash> images;
  for (const Tree& tree : trees) {
    ChunkKeys here;
    for (const Chunk& chunk : tree.chunks)
      if (here.insert(key_of(chunk)).second) images[key_of(chunk)]++;
  }
  ChunkKeys common;
  for (const auto& [content, count] : images)
    if (count > 1 || trees.size() == 1) common.insert(content);
  return common;
}

// A file that is one chunk, named by its digest.
void add_chunk_file(Tree& tree, const Chunk& chunk) {
  Inode inode;
  inode.mode = S_IFREG | 0444;
  inode.size = chunk.uncompressed_size;
  inode.chunks.push_back(narrow<ChunkId>(tree.chunks.size()));
  tree.chunks.push_back(chunk);
  tree.chunks.back().file_offset = 0;
  tree.inodes[kRootInode].entries->push_back({to_hex(chunk.digest), narrow<InodeId>(tree.inodes.size())});
  tree.inodes.push_back(std::move(inode));
}

// Every common content once, as the first source that has it stores it.
Tree make_dictionary(const std::vector<Tree>& trees) {
  ChunkKeys wanted = common_contents(trees);
  Tree known, tree;
  for (const Tree& source : trees) add_chunks(known, source);
  tree.chunk_size = trees[0].chunk_size;
  tree.compressor = trees[0].compressor;
  tree.digester = trees[0].digester;
  tree.blobs = std::move(known.blobs);
  Inode root;
  root.mode = S_IFDIR | 0755;
  root.parent = kRootInode;
  root.entries = std::make_unique<std::vector<DirEntry>>();
  tree.inodes.push_back(std::move(root));
  for (const Chunk& chunk : known.chunks)
    if (wanted.erase(key_of(chunk)) != 0) add_chunk_file(tree, chunk);
  auto& entries = *tree.inodes[kRootInode].entries;
  std::sort(entries.begin(), entries.end(),
            [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
  drop_unused(tree);
  update_link_counts(tree);
  return tree;
}

Result<void> run_chunkdict(const Arguments& arguments) {
  std::vector<std::string> paths = arguments.positional();
  if (paths.empty() || paths[0] != "generate")
    return usage_error("chunkdict: only `chunkdict generate` is known");
  paths.erase(paths.begin());
  if (paths.empty()) return usage_error("chunkdict generate: no source bootstrap given");
  if (!arguments.has("bootstrap") && !arguments.has("blob-dir"))
    return usage_error("chunkdict generate: --bootstrap or --blob-dir is missing");
  TRY_ASSIGN(std::vector<Tree> trees, open_sources(paths));
  Tree tree = make_dictionary(trees);
  TRY_ASSIGN(std::string path, publish_bootstrap(arguments, tree));
  if (auto json = arguments.value("output-json")) return write_output_json(*json, tree, path);
  return {};
}

}  // namespace

const Command kChunkdictCommand = {
    "chunkdict", "generate [OPTIONS] -B BOOTSTRAP SOURCE...",
    "Writes a dictionary of the chunks that several images have in common, for --chunk-dict.", kOptions,
    run_chunkdict};

}  // namespace mkfs
