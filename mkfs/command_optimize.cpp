// optimize: what is read first gets a blob of its own, which a daemon fetches in one piece.
#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/bootstrap/bootstrap_writer.h"
#include "erofs-format/image/json.h"
#include "erofs-format/ondisk/rafs.h"
#include "mkfs/commands.h"
#include "mkfs/create_options.h"
#include "mkfs/output_json.h"
#include "mkfs/repack.h"

namespace mkfs {

namespace {

constexpr Option kOptions[] = {
    {"bootstrap", 'B', "FILE", "the image"},
    {"prefetch-files", 'p', "FILE", "JSON: version v1 and files, each a path and ranges of bytes or none"},
    {"blob-dir", 'D', "DIR", "folder of its blobs (repeatable)"},
    {"output-blob-dir", 0, "DIR", "write the blob here, named by its id"},
    {"output-bootstrap", 'O', "FILE", "write the new bootstrap here (optimized_bootstrap)"},
    {"output-json", 'J', "FILE", "write what was made as JSON; the new blob is the last"},
    {"jobs", 0, "N", "threads (all processors)"},
    {"blob", 'b', "FILE", "not supported yet: use --blob-dir"},
    {"backend-type", 0, "TYPE", "not supported yet: blobs are files in a folder"},
    {"backend-config", 0, "JSON", "not supported yet"},
    {"backend-config-file", 0, "FILE", "not supported yet"},
    {"config", 'C', "FILE", "accepted, has no effect"},
    kLogLevelOption,
    kLogFileOption,
};
constexpr std::string_view kNotYet[] = {"blob", "backend-type", "backend-config", "backend-config-file"};
constexpr std::string_view kNeeded[] = {"bootstrap", "prefetch-files", "blob-dir", "output-blob-dir"};

struct Range {
  uint64_t offset = 0;
  uint64_t size = 0;
};
struct WantedFile {
  std::string path;
  std::optional<std::vector<Range>> ranges;  // none: the whole file
};

Result<Range> parse_range(const JsonField& field) {
  std::vector<uint64_t> numbers;
  TRY(field.for_each([&](const JsonField& number) -> Result<void> {
    TRY_ASSIGN(uint64_t value, number.number());
    numbers.push_back(value);
    return {};
  }));
  if (numbers.size() != 2) return field.error("is not an offset and a size");
  return Range{numbers[0], numbers[1]};
}

Result<WantedFile> parse_file(const JsonField& field) {
  TRY(field.require_object());
  WantedFile file;
  TRY_ASSIGN(file.path, field.member("path").text());
  JsonField ranges = field.member("ranges");
  if (!ranges.present()) return file;
  file.ranges.emplace();
  TRY(ranges.for_each([&](const JsonField& range) -> Result<void> {
    TRY_ASSIGN(Range value, parse_range(range));
    file.ranges->push_back(value);
    return {};
  }));
  return file;
}

Result<std::vector<WantedFile>> read_wanted(const std::string& path) {
  TRY_ASSIGN(Buffer text, os::read_file(path, kMaxDocumentSize));
  TRY_ASSIGN(Json document, parse_document(text, path));
  JsonField root(document, path);
  TRY_ASSIGN(std::string version, root.member("version").text());
  if (version != "v1") return root.member("version").error("is not v1");
  std::vector<WantedFile> files;
  TRY(root.member("files").for_each([&](const JsonField& field) -> Result<void> {
    TRY_ASSIGN(WantedFile file, parse_file(field));
    files.push_back(std::move(file));
    return {};
  }));
  return files;
}

bool wanted_at(const WantedFile& file, uint64_t offset, uint64_t size) {
  if (!file.ranges) return true;
  for (const Range& range : *file.ranges)
    if (range.size != 0 && range.offset < offset + size &&
        (range.offset >= offset || offset - range.offset < range.size))
      return true;
  return false;
}

// In the order of the files, then of their bytes.
std::vector<ChunkId> wanted_chunks(const Tree& tree, const std::vector<WantedFile>& files) {
  std::vector<ChunkId> chunks;
  for (const WantedFile& file : files) {
    InodeId id = find_path(tree, file.path);
    if (id == kNoInode || !tree.inodes[id].is_regular()) {
      log_line(LogLevel::warn, "optimize", printable(file.path) + ": is no file of the image, left out");
      continue;
    }
    const ChunkList& list = tree.inodes[id].chunks;
    for (size_t i = 0; i < list.size(); i++)
      if (wanted_at(file, i * uint64_t{tree.chunk_size}, tree.chunk_size)) chunks.push_back(list[i]);
  }
  return chunks;
}

// What was encrypted stays so, with a key of its own.
Result<ChunkOptions> new_blob_options(const Tree& tree) {
  ChunkOptions options;
  options.compressor = tree.compressor == Compressor::gzip ? Compressor::zstd : tree.compressor;
  options.digester = tree.digester;
  options.chunk_size = tree.chunk_size;
  if (std::any_of(tree.blobs.begin(), tree.blobs.end(), [](const Blob& blob) { return blob.encrypted; })) {
    TRY_ASSIGN(options.cipher, random_cipher_key());
  }
  return options;
}

Result<void> check_options(const Arguments& arguments) {
  TRY(refuse_options(arguments, kNotYet, "not supported yet"));
  for (std::string_view option : kNeeded)
    if (!arguments.has(option)) return usage_error(fmt::format("optimize: --{} is missing", option));
  return {};
}

Result<void> run_optimize(const Arguments& arguments) {
  TRY(check_options(arguments));
  TRY_ASSIGN(size_t jobs, job_count(arguments));
  TRY_ASSIGN(auto wanted, read_wanted(*arguments.value("prefetch-files")));
  TRY_ASSIGN(Tree tree, open_bootstrap(*arguments.value("bootstrap")));
  std::vector<ChunkId> chunks = wanted_chunks(tree, wanted);
  if (chunks.empty())
    return make_error(Code::not_found,
                      *arguments.value("prefetch-files") + ": names no content of the image");
  TRY_ASSIGN(ChunkOptions options, new_blob_options(tree));
  TRY_ASSIGN(auto blobs, BlobReader::open(tree, arguments.values("blob-dir")));
  std::string folder = *arguments.value("output-blob-dir");
  TRY_ASSIGN(auto file, os::PendingFile::create(folder));
  WorkerPool pool(jobs);
  TRY(repack_chunks(tree, *blobs, chunks, options, ondisk::kBlobSeparatedPrefetch, pool, file.fd(), folder));
  std::string id = tree.blobs.back().id;
  drop_unused(tree);
  TRY_ASSIGN(Buffer image, drain_to_bootstrap(tree));
  TRY(file.publish(id));
  std::string output = arguments.value_or("output-bootstrap", "optimized_bootstrap");
  TRY(os::publish_file(output, image));
  if (auto json = arguments.value("output-json")) return write_output_json(*json, tree, output);
  return {};
}

}  // namespace

const Command kOptimizeCommand = {"optimize", "[OPTIONS] -B BOOTSTRAP -p FILE -D DIR --output-blob-dir DIR",
                                  "Copies what is read first into a blob of its own.", kOptions,
                                  run_optimize};

}  // namespace mkfs
