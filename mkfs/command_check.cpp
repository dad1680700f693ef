// check: the whole image is sound, as nydus-image's command of that name says it; with --blob-dir its blobs
// too.
#include <fmt/format.h>

#include <cstdio>

#include "erofs-format/ondisk/rafs.h"
#include "mkfs/commands.h"
#include "mkfs/image_argument.h"
#include "mkfs/output_json.h"
#include "mkfs/verify_blobs.h"

namespace mkfs {

namespace {

using namespace ondisk;

constexpr Option kOptions[] = {
    {"bootstrap", 'B', "FILE", "the same as BOOTSTRAP"},
    {"blob-dir", 'D', "DIR", "folder of blobs: verify them too, every chunk (repeatable)"},
    {"verbose", 'v', "", "print every path and chunk"},
    {"output-json", 'J', "FILE", "write the blobs' ids as JSON"},
    {"config", 'C', "FILE", "accepted, has no effect"},
    kLogLevelOption,
    kLogFileOption,
};

std::string feature_words(const Blob& blob) {
  struct Word {
    uint32_t feature;
    const char* word;
  };
  constexpr Word kWords[] = {
      {kBlobAligned, "aligned"},      {kBlobBatch, "batch"},
      {kBlobCapTarToc, "cap_toc"},    {kBlobInlinedChunkDigest, "chunk-digest"},
      {kBlobChunkInfoV2, "chunk-v2"}, {kBlobInlinedFsMeta, "fs-meta"},
      {kBlobSeparate, "separate"},    {kBlobHasTarHeader, "tar-header"},
      {kBlobHasToc, "toc"},           {kBlobZran, "zran"},
      {kBlobEncrypted, "encrypted"},  {kBlobIsChunkdictGenerated, "is-chunkdict-generated"},
  };
  std::string words;
  for (const Word& word : kWords)
    if (blob.has(word.feature)) words.append(words.empty() ? "" : " ").append(word.word);
  return words;
}

Result<void> print_path(const Tree& tree, const std::string& path, InodeId id) {
  const Inode& inode = tree.inodes[id];
  fmt::print("inode: {} \"{}\": nid {} mode {:06o} uid {} gid {} nlink {} size {} mtime {}.{:09}\n",
             inode.is_directory() ? "dir" : "file", printable(path), tree.nids[id], inode.mode, inode.uid,
             inode.gid, inode.nlink, inode.size, inode.mtime, inode.mtime_nsec);
  for (size_t i = 0; i < inode.chunks.size(); i++) {
    const Chunk& chunk = tree.chunks[inode.chunks[i]];
    fmt::print(
        "\t chunk: id {}, index {}, blob_index {}, file_offset {}, compressed {}/{}, uncompressed {}/{}\n",
        to_hex(chunk.digest), chunk.index, chunk.blob_index, i * uint64_t{tree.chunk_size},
        chunk.compressed_offset, chunk.compressed_size, chunk.uncompressed_offset, chunk.uncompressed_size);
  }
  return {};
}

void print_blobs(const Tree& tree) {
  fmt::print("RAFS filesystem metadata is valid, referenced data blobs: \n");
  for (size_t i = 0; i < tree.blobs.size(); i++) {
    const Blob& blob = tree.blobs[i];
    fmt::print(
        "\t{:>2}: {}, compressed size {}, uncompressed size {}, chunk size: {}, chunk count: {}, features: "
        "{}\n",
        i, blob.id, blob.compressed_size, blob.uncompressed_size, blob.chunk_size, blob.chunk_count,
        feature_words(blob));
  }
}

Result<void> run_check(const Arguments& arguments) {
  std::vector<std::string> notes;
  TRY_ASSIGN(std::string path, image_path_argument(arguments));
  TRY_ASSIGN(Tree tree, open_image_argument(arguments, &notes));
  for (std::string& text : notes) text.insert(0, path + ": ");
  if (auto directories = arguments.values("blob-dir"); !directories.empty())
    TRY(verify_blobs(tree, directories, notes));
  for (const std::string& text : notes) fmt::print(stderr, "note: {}\n", text);
  if (arguments.has("verbose")) {
    TRY(print_path(tree, "/", kRootInode));
    TRY(walk_paths(tree,
                   [&](const std::string& name, InodeId, InodeId id) { return print_path(tree, name, id); }));
  }
  print_blobs(tree);
  if (auto json = arguments.value("output-json")) return write_output_json(*json, tree, path);
  return {};
}

}  // namespace

const Command kCheckCommand = {"check", "[OPTIONS] BOOTSTRAP",
                               "Validates an image: its whole metadata, and with --blob-dir its blobs.",
                               kOptions, run_check};

}  // namespace mkfs
