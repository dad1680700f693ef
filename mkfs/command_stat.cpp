// stat: how large images are, and how much of one is in others (nydus-rafs-v6.md 4.1; names of the numbers
// are nydus-image's).
#include <fmt/format.h>

#include <bit>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "erofs-format/base/os.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "mkfs/commands.h"
#include "mkfs/dictionary.h"

namespace mkfs {

namespace {

using nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"bootstrap", 'B', "FILE", "the image"},
    {"blob-dir", 'D', "DIR", "all images in a folder (files without extension), taken together"},
    {"target", 'T', "FILE", "an image to compare with the first"},
    {"output-json", 'J', "FILE", "write the numbers as JSON"},
    {"config", 'C', "FILE", "accepted, has no effect"},
    {"digester", 0, "NAME", "accepted, has no effect"},
    kLogLevelOption,
    kLogFileOption,
};

constexpr uint32_t kFirstChunkBits = 12;
constexpr size_t kChunkBits = 9;
constexpr size_t kFileBits = 45;

struct Sum {
  uint64_t chunks = 0;
  uint64_t compressed = 0;
  uint64_t uncompressed = 0;
  void add(const Chunk& chunk) {
    chunks++;
    compressed += chunk.compressed_size;
    uncompressed += chunk.uncompressed_size;
  }
};

struct Numbers {
  uint64_t directories = 0;
  uint64_t files = 0;
  uint64_t symlinks = 0;
  uint64_t file_size = 0;
  uint64_t padding_size = 0;
  Sum all;         // every chunk of every file
  Sum dedup;       // distinct chunks of all images of a folder
  Sum own;         // distinct chunks that are not in the base
  Sum referenced;  // distinct chunks that are
  uint64_t chunk_sizes[kChunkBits] = {};
  uint64_t file_sizes[kFileBits] = {};
};

void add_file(const Tree& tree, const Inode& inode, Numbers& numbers) {
  auto bits = std::min<size_t>(static_cast<size_t>(std::bit_width(inode.size)), kFileBits - 1);
  numbers.files += inode.nlink;
  numbers.file_sizes[bits]++;
  numbers.file_size += inode.size;
  numbers.padding_size += -inode.size & (tree.block_size - 1);
  for (size_t i = 0; i < kChunkBits; i++)
    numbers.chunk_sizes[i] += div_up(inode.size, uint64_t{1} << (kFirstChunkBits + i));
  for (ChunkId id : inode.chunks) numbers.all.add(tree.chunks[id]);
}

// `base` is what earlier images had; null when this one belongs to it.
void add_image(const Tree& tree, const ChunkKeys* base, ChunkKeys& seen, Numbers& numbers) {
  ChunkKeys here;
  for (const Inode& inode : tree.inodes) {
    if (inode.is_directory()) numbers.directories++;
    if (inode.is_symlink()) numbers.symlinks++;
    if (!inode.is_regular()) continue;
    add_file(tree, inode, numbers);
    for (ChunkId id : inode.chunks) {
      const Chunk& chunk = tree.chunks[id];
      ChunkKey content = key_of(chunk);
      if (!here.insert(content).second) continue;
      (base && base->contains(content) ? numbers.referenced : numbers.own).add(chunk);
      if (seen.insert(content).second) numbers.dedup.add(chunk);
    }
  }
}

ordered_json to_json(const Numbers& n, bool dedup) {
  Sum distinct = dedup ? n.dedup : Sum{};
  return {{"dirs", n.directories},
          {"files", n.files},
          {"symlinks", n.symlinks},
          {"chunks", n.all.chunks},
          {"file_size", n.file_size},
          {"comp_size", n.all.compressed},
          {"uncomp_size", n.all.uncompressed + n.padding_size},
          {"padding_size", n.padding_size},
          {"chunk_sizes", n.chunk_sizes},
          {"file_sizes", n.file_sizes},
          {"dedup_chunks", distinct.chunks},
          {"dedup_comp_size", distinct.compressed},
          {"dedup_uncomp_size", distinct.uncompressed},
          {"own_chunks", n.own.chunks},
          {"own_comp_size", n.own.compressed},
          {"own_uncomp_size", n.own.uncompressed},
          {"ref_chunks", n.referenced.chunks},
          {"ref_comp_size", n.referenced.compressed},
          {"ref_uncomp_size", n.referenced.uncompressed}};
}

void print_numbers(const char* title, const ordered_json& json) {
  struct Row {
    const char* label;
    const char* key;
  };
  constexpr Row kRows[] = {
      {"Directories", "dirs"},
      {"Files", "files"},
      {"Symlinks", "symlinks"},
      {"Chunks", "chunks"},
      {"File Size", "file_size"},
      {"Padding Size", "padding_size"},
      {"Uncompressed Size", "uncomp_size"},
      {"Compressed Size", "comp_size"},
      {"Dedup Chunk Count", "dedup_chunks"},
      {"Dedup Comp Size", "dedup_comp_size"},
      {"Dedup Uncomp Size", "dedup_uncomp_size"},
      {"Owned Chunk Count", "own_chunks"},
      {"Owned Comp Size", "own_comp_size"},
      {"Owned Uncomp Size", "own_uncomp_size"},
      {"Referenced Chunk Count", "ref_chunks"},
      {"Referenced Comp Size", "ref_comp_size"},
      {"Referenced Uncomp Size", "ref_uncomp_size"},
  };
  fmt::print("{} Image Statistics:\n\n", title);
  for (const Row& row : kRows)
    fmt::print("{:<24}{}\n", std::string(row.label) + ":", json[row.key].get<uint64_t>());
  fmt::print("\nFile Size Bits:\t\tFile Count:\n");
  for (size_t i = 0; i < kFileBits; i++)
    fmt::print("{}:\t\t\t{}\n", i, json["file_sizes"][i].get<uint64_t>());
  fmt::print("\nChunk Size Bits:\tChunk Count:\n");
  for (size_t i = 0; i < kChunkBits; i++)
    fmt::print("{}:\t\t\t{}\n", i + kFirstChunkBits, json["chunk_sizes"][i].get<uint64_t>());
  fmt::print("\n");
}

// The images of a folder, by name; blobs without a bootstrap are passed over.
Result<std::vector<Tree>> open_folder(const std::string& folder) {
  std::error_code error;
  std::set<std::string> names;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (at->path().extension().empty()) names.insert(at->path().string());
  if (error) return Error{Code::io, error.value(), folder + ": " + error.message(), 1};
  std::vector<Tree> trees;
  for (const std::string& name : names) {
    auto tree = open_bootstrap(name);
    if (tree) trees.push_back(std::move(*tree));
    if (!tree && tree.error().code == Code::io) return std::move(tree).error();
  }
  if (trees.empty()) return make_error(Code::not_found, folder + ": holds no image");
  return trees;
}

Result<void> run_stat(const Arguments& arguments) {
  auto bootstrap = arguments.value("bootstrap");
  auto folder = arguments.value("blob-dir");
  if (bootstrap.has_value() == folder.has_value()) return usage_error("stat: give --bootstrap or --blob-dir");
  std::vector<Tree> bases;
  if (folder) {
    TRY_ASSIGN(bases, open_folder(*folder));
  } else {
    TRY_ASSIGN(Tree tree, open_bootstrap(*bootstrap));
    bases.push_back(std::move(tree));
  }
  ChunkKeys seen;
  Numbers base, target;
  for (const Tree& tree : bases) add_image(tree, nullptr, seen, base);
  auto target_path = arguments.value("target");
  if (target_path) {
    TRY_ASSIGN(Tree tree, open_bootstrap(*target_path));
    ChunkKeys of_target;
    add_image(tree, &seen, of_target, target);
  }
  bool dedup = folder.has_value();
  ordered_json json = {{"dedup_enabled", dedup},
                       {"target_enabled", target_path.has_value()},
                       {"base_image", to_json(base, dedup)},
                       {"target_image", to_json(target, false)}};
  if (target_path) print_numbers("Target", json["target_image"]);
  print_numbers("Base", json["base_image"]);
  if (auto path = arguments.value("output-json")) return os::publish_file(*path, as_bytes(json.dump()));
  return {};
}

}  // namespace

const Command kStatCommand = {"stat", "[OPTIONS] --bootstrap FILE", "Counts what an image holds.", kOptions,
                              run_stat};

}  // namespace mkfs
