// inspect: questions about an image, in the words of nydus-image. With --request one question and JSON on
// stdout after the text; without, a line of stdin is a question.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <iostream>

#include "erofs-format/ondisk/rafs.h"
#include "mkfs/commands.h"
#include "mkfs/image_argument.h"

namespace mkfs {

namespace {

using nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"bootstrap", 'B', "FILE", "the same as BOOTSTRAP"},
    {"request", 'R', "COMMAND", "stats, ls, cd DIR, stat FILE, blobs, prefetch, chunk OFFSET, icheck INODE"},
    {"blob-dir", 'D', "DIR", "folder of blobs, to find a blob with an inlined bootstrap"},
    {"config", 'C', "FILE", "accepted, has no effect"},
    kLogLevelOption,
    kLogFileOption,
};

constexpr char kHelp[] =
    "stats            numbers of the image\n"
    "ls               entries of the current directory\n"
    "cd DIR           change it\n"
    "stat FILE        attributes and chunks of an entry\n"
    "blobs            blobs of the image\n"
    "prefetch         paths of the prefetch table\n"
    "chunk OFFSET     chunks that hold the byte OFFSET of a blob, and their files\n"
    "icheck INODE     path and attributes of an inode number\n"
    "q                quit\n";

class Inspector {
 public:
  Inspector(const Tree& tree, bool interactive) : tree_(tree), interactive_(interactive) {}

  // Answers one question: text on stdout, and what --request prints as JSON.
  Result<ordered_json> answer(const std::string& question);

 private:
  Result<ordered_json> stats();
  Result<ordered_json> list();
  Result<ordered_json> change(const std::string& name);
  Result<ordered_json> stat_entry(const std::string& name);
  Result<ordered_json> blobs();
  Result<ordered_json> prefetch();
  Result<ordered_json> chunk(const std::string& offset);
  Result<ordered_json> inode(const std::string& number);

  const DirEntry* find_entry(const std::string& name) const;
  void print_inode(InodeId id, InodeId parent, const std::string& name) const;
  void print_chunks(const Inode& inode) const;

  const Tree& tree_;
  bool interactive_;
  InodeId directory_ = kRootInode;
};

const DirEntry* Inspector::find_entry(const std::string& name) const {
  for (const DirEntry& entry : *tree_.inodes[directory_].entries)
    if (entry.name == name) return &entry;
  return nullptr;
}

void Inspector::print_inode(InodeId id, InodeId parent, const std::string& name) const {
  const Inode& inode = tree_.inodes[id];
  fmt::print(
      "\nInode Number:       {}\nName:               \"{}\"\nSize:               {}\nParent:             {}\n"
      "Mode:               0x{:X}\nPermissions:        {:o}\nNlink:              {}\nUID:                {}\n"
      "GID:                {}\nMtime:              {}\nMtimeNsec:          {}\nBlocks:             {}\n",
      tree_.nids[id], printable(name), inode.size, tree_.nids[parent], inode.mode, inode.mode, inode.nlink,
      inode.uid, inode.gid, inode.mtime, inode.mtime_nsec, div_up(inode.size, 512));
}

void Inspector::print_chunks(const Inode& inode) const {
  fmt::print("  Chunk list:\n");
  for (size_t i = 0; i < inode.chunks.size(); i++) {
    const Chunk& chunk = tree_.chunks[inode.chunks[i]];
    fmt::print(
        "        {} ->\n        file offset: {}, chunk index: {}\n"
        "        compressed size: {}, decompressed size: {}\n"
        "        compressed offset: {}, decompressed offset: {}\n"
        "        blob id: {}\n        chunk id: {}\n    \n",
        i, i * uint64_t{tree_.chunk_size}, chunk.index, chunk.compressed_size, chunk.uncompressed_size,
        chunk.compressed_offset, chunk.uncompressed_offset, tree_.blobs[chunk.blob_index].id,
        to_hex(chunk.digest));
  }
}

// Names are counted, as nydus-image does: two for a file with two.
Result<ordered_json> Inspector::stats() {
  uint64_t names = 1;
  for (const Inode& inode : tree_.inodes)
    if (inode.entries) names += inode.entries->size();
  if (!interactive_) return ordered_json{{"inodes_count", names}};
  fmt::print(
      "\n    Version:                6\n    Inodes Count:           {}\n    Chunk Size:             {}KB\n"
      "    Root Inode:             {}\n    Flags:                  {:#x}\n    Blobs:                  {}\n"
      "    Chunks:                 {}\n    Prefetch table entries: {}\n",
      names, tree_.chunk_size / 1024, tree_.nids[kRootInode], tree_.flags, tree_.blobs.size(),
      tree_.chunks.size(), tree_.prefetch.size());
  return ordered_json(nullptr);
}

Result<ordered_json> Inspector::list() {
  for (const DirEntry& entry : *tree_.inodes[directory_].entries) {
    const Inode& inode = tree_.inodes[entry.inode];
    char sign = inode.is_regular() ? '-' : inode.is_directory() ? 'd' : inode.is_symlink() ? 'l' : ' ';
    fmt::print("{}    {:<8} \"{}\"\n", sign, tree_.nids[entry.inode], printable(entry.name));
  }
  return ordered_json(nullptr);
}

Result<ordered_json> Inspector::change(const std::string& name) {
  if (name == "/" || name.empty()) {
    directory_ = kRootInode;
  } else if (name == "..") {
    directory_ = tree_.inodes[directory_].parent;
  } else if (name != ".") {
    const DirEntry* entry = find_entry(name);
    if (!entry || !tree_.inodes[entry->inode].is_directory())
      return make_error(Code::not_found, "cd: " + printable(name) + ": no such directory");
    directory_ = entry->inode;
  }
  return ordered_json(nullptr);
}

Result<ordered_json> Inspector::stat_entry(const std::string& name) {
  if (name == "." || name == "/") {
    InodeId id = name == "/" ? kRootInode : directory_;
    print_inode(id, tree_.inodes[id].parent, name);
    return ordered_json(nullptr);
  }
  const DirEntry* entry = find_entry(name);
  if (!entry) return make_error(Code::not_found, "stat: " + printable(name) + ": no such entry");
  print_inode(entry->inode, directory_, name);
  if (tree_.inodes[entry->inode].is_regular()) print_chunks(tree_.inodes[entry->inode]);
  return ordered_json(nullptr);
}

Result<ordered_json> Inspector::blobs() {
  ordered_json answer = ordered_json::array();
  for (const Blob& blob : tree_.blobs)
    answer.push_back({{"blob_id", blob.id},
                      {"compressed_size", blob.compressed_size},
                      {"decompressed_size", blob.uncompressed_size},
                      {"readahead_offset", 0},
                      {"readahead_size", 0}});
  return answer;
}

Result<ordered_json> Inspector::prefetch() {
  std::map<InodeId, std::vector<std::string>> paths;
  for (InodeId id : tree_.prefetch) paths[id] = {};
  if (paths.contains(kRootInode)) paths[kRootInode].push_back("/");
  TRY(walk_paths(tree_, [&](const std::string& path, InodeId, InodeId id) -> Result<void> {
    bool directory = tree_.inodes[id].is_directory();
    if (auto wanted = paths.find(id); wanted != paths.end())
      wanted->second.push_back(printable(path) + (directory ? "/" : ""));
    return {};
  }));
  ordered_json answer = ordered_json::array();
  for (InodeId id : tree_.prefetch) answer.push_back({{"inode", tree_.nids[id]}, {"path", paths[id]}});
  return answer;
}

Result<ordered_json> Inspector::chunk(const std::string& text) {
  TRY_ASSIGN(uint64_t offset, parse_number(text, UINT64_MAX, "chunk: OFFSET"));
  auto holds = [&](const Chunk& chunk) {
    return chunk.compressed_offset <= offset && offset - chunk.compressed_offset < chunk.compressed_size;
  };
  TRY(walk_paths(tree_, [&](const std::string& path, InodeId parent, InodeId id) -> Result<void> {
    for (ChunkId chunk_id : tree_.inodes[id].chunks) {
      const Chunk& chunk = tree_.chunks[chunk_id];
      if (!holds(chunk)) continue;
      size_t slash = path.rfind('/');
      fmt::print(
          "\nFile: {:<32} Parent Path: {:<32}\nCompressed Offset: {}, Compressed Size: {}\n"
          "Decompressed Offset: {}, Decompressed Size: {}\nChunk ID: {},\nBlob ID: {}\n\n",
          printable(path.substr(slash + 1)), printable(directory_path(tree_, parent)),
          chunk.compressed_offset, chunk.compressed_size, chunk.uncompressed_offset, chunk.uncompressed_size,
          to_hex(chunk.digest), tree_.blobs[chunk.blob_index].id);
    }
    return {};
  }));
  return ordered_json(nullptr);
}

Result<ordered_json> Inspector::inode(const std::string& text) {
  TRY_ASSIGN(uint64_t nid, parse_number(text, UINT64_MAX, "icheck: INODE"));
  bool found = nid == tree_.nids[kRootInode];
  if (found) {
    fmt::print("/\n");
    print_inode(kRootInode, kRootInode, "/");
  }
  TRY(walk_paths(tree_, [&](const std::string& path, InodeId parent, InodeId id) -> Result<void> {
    if (tree_.nids[id] != nid) return {};
    found = true;
    fmt::print("{}\n", printable(path));
    print_inode(id, parent, path.substr(path.rfind('/') + 1));
    return {};
  }));
  if (!found) return make_error(Code::not_found, "icheck: no inode has the number " + text);
  return ordered_json(nullptr);
}

// Verb and object. Callers put a space before the verb: `-R blobs` as one word.
std::pair<std::string, std::string> split_question(const std::string& question) {
  size_t start = std::min(question.find_first_not_of(' '), question.size());
  size_t end = std::min(question.find(' ', start), question.size());
  size_t object = std::min(question.find_first_not_of(' ', end), question.size());
  return {question.substr(start, end - start), question.substr(object)};
}

Result<ordered_json> Inspector::answer(const std::string& question) {
  auto [verb, object] = split_question(question);
  if (verb == "stats") return stats();
  if (verb == "ls") return list();
  if (verb == "cd") return change(object);
  if (verb == "stat") return stat_entry(object);
  if (verb == "blobs") return blobs();
  if (verb == "prefetch") return prefetch();
  if (verb == "chunk") return chunk(object);
  if (verb == "icheck") return inode(object);
  if (verb != "help") return usage_error("inspect: unknown command '" + printable(verb) + "'");
  fmt::print("{}", kHelp);
  return ordered_json(nullptr);
}

Result<void> converse(Inspector& inspector) {
  for (std::string line;;) {
    fmt::print("Inspecting RAFS :> ");
    std::fflush(stdout);
    if (!std::getline(std::cin, line) || line == "q" || line == "exit") return {};
    if (line.empty()) continue;
    auto answer = inspector.answer(line);
    if (!answer) {
      fmt::print("{}\n", answer.error().message);
    } else if (!answer->is_null()) {
      fmt::print("{}\n", answer->dump(2, ' ', false, ordered_json::error_handler_t::replace));
    }
  }
}

Result<void> run_inspect(const Arguments& arguments) {
  TRY_ASSIGN(Tree tree, open_image_argument(arguments));
  auto request = arguments.value("request");
  Inspector inspector(tree, !request);
  if (!request) return converse(inspector);
  TRY_ASSIGN(ordered_json answer, inspector.answer(*request));
  fmt::print("{}", answer.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  return {};
}

}  // namespace

const Command kInspectCommand = {"inspect", "[--request COMMAND] BOOTSTRAP",
                                 "Answers questions about an image.", kOptions, run_inspect};

}  // namespace mkfs
