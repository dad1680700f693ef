#include "mkfs/create_options.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "erofs-format/base/os.h"
#include "erofs-format/base/stream.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/ondisk/rafs.h"
#include "mkfs/limits.h"
#include "mkfs/prefetch.h"
#include "mkfs/source_dir.h"
#include "mkfs/source_estargz.h"
#include "mkfs/source_tar.h"

namespace mkfs {

namespace {

constexpr size_t kReadAheadBuffer = size_t{1} << 20;
constexpr size_t kReadAheadDepth = 4;

Result<Compressor> compressor_option(const Arguments& arguments) {
  std::string name = arguments.value_or("compressor", "zstd");
  if (name == "zstd") return Compressor::zstd;
  if (name == "lz4" || name == "lz4_block") return Compressor::lz4_block;
  if (name == "none") return Compressor::none;
  return usage_error("--compressor: '" + name + "' is not zstd, lz4 or none");
}

Result<Digester> digester_option(const Arguments& arguments) {
  std::string name = arguments.value_or("digester", "blake3");
  if (name == "blake3") return Digester::blake3;
  if (name == "sha256") return Digester::sha256;
  return usage_error("--digester: '" + name + "' is not blake3 or sha256");
}

Result<uint32_t> chunk_size_option(const Arguments& arguments, std::string_view option,
                                   std::string_view fallback) {
  std::string text = arguments.value_or(option, fallback);
  TRY_ASSIGN(uint64_t size, parse_size(text, option));
  bool none = option == "batch-size" && size == 0;
  if (!none && (!is_power_of_two(size) || size < ondisk::kMinChunkSize || size > ondisk::kMaxChunkSize))
    return usage_error(fmt::format("--{}: {} is not a power of two from 4K to 16M", option, text));
  return static_cast<uint32_t>(size);
}

Result<int64_t> latest_mtime(const Arguments& arguments) {
  std::optional<std::string> text = arguments.value("source-date-epoch");
  const char* environment = std::getenv("SOURCE_DATE_EPOCH");
  if (!text && environment && *environment) text = environment;
  if (!text) return std::numeric_limits<int64_t>::max();
  TRY_ASSIGN(uint64_t seconds, parse_number(*text, INT64_MAX, "source date epoch"));
  return static_cast<int64_t>(seconds);
}

// All blobs of an image have its chunk size.
Result<void> check_chunk_size(std::string_view option, const Tree& known, uint32_t chunk_size) {
  if (known.blobs.empty() || known.chunk_size == chunk_size) return {};
  return make_error(Code::invalid_argument, fmt::format("--{}: its chunk size is {:#x}, not {:#x}", option,
                                                        known.chunk_size, chunk_size));
}

// What the parent has counts first.
Result<std::unique_ptr<Dictionary>> dictionary_option(const Arguments& arguments, const Tree* parent,
                                                      uint32_t chunk_size) {
  Tree known;
  if (parent) {
    TRY(check_chunk_size("parent-bootstrap", *parent, chunk_size));
    add_chunks(known, *parent);
  }
  if (auto path = dictionary_path(arguments)) {
    TRY_ASSIGN(Tree tree, open_bootstrap(*path));
    TRY(check_chunk_size("chunk-dict", tree, chunk_size));
    add_chunks(known, tree);
  }
  return std::make_unique<Dictionary>(std::move(known));
}

// The raw tar; of one that stays as it is, the options learn what it is.
Result<std::unique_ptr<ByteSource>> open_bytes(os::UniqueFd fd, const std::string& path, SourceKind kind,
                                               BuildOptions& options) {
  auto stored = make_fd_source(std::move(fd), path);
  bool stays = kind == SourceKind::tar_ref || kind == SourceKind::estargz_ref || kind == SourceKind::tarfs;
  if (!stays) return make_sniffing_source(std::move(stored), path);
  TRY_ASSIGN(OriginalSource source, open_original(std::move(stored), path));
  options.original = std::move(source.original);
  if (kind == SourceKind::tarfs && options.original->is_gzip())
    return make_error(Code::invalid_argument, path + ": tar-tarfs needs a tar that is not compressed");
  return std::move(source.bytes);
}

}  // namespace

std::optional<std::string> dictionary_path(const Arguments& arguments) {
  constexpr std::string_view kKind = "bootstrap=";
  auto path = arguments.value("chunk-dict");
  if (path && path->starts_with(kKind)) path->erase(0, kKind.size());
  return path;
}

Result<BuildOptions> build_options(const Arguments& arguments, std::unique_ptr<Dictionary>& dictionary,
                                   const Tree* parent) {
  BuildOptions options;
  TRY_ASSIGN(options.chunks.compressor, compressor_option(arguments));
  TRY_ASSIGN(options.chunks.digester, digester_option(arguments));
  TRY_ASSIGN(options.chunks.chunk_size, chunk_size_option(arguments, "chunk-size", "1M"));
  TRY_ASSIGN(options.chunks.batch_size, chunk_size_option(arguments, "batch-size", "0"));
  if (options.chunks.batch_size > options.chunks.chunk_size)
    return usage_error("--batch-size: larger than the chunk size");
  TRY_ASSIGN(uint64_t level, parse_number(arguments.value_or("level", "0"), 22, "--level"));
  options.chunks.level = static_cast<int>(level);
  if (arguments.has("chunk-dict") || parent) {
    TRY_ASSIGN(dictionary, dictionary_option(arguments, parent, options.chunks.chunk_size));
    options.chunks.dictionary = dictionary.get();
  }
  TRY_ASSIGN(options.tree.latest_mtime, latest_mtime(arguments));
  options.tree.all_root = arguments.has("all-root");
  if (auto file = arguments.value("prefetch-files")) {
    TRY_ASSIGN(os::UniqueFd fd, os::open(*file, O_RDONLY));
    TRY_ASSIGN(options.prefetch, read_prefetch_patterns(fd.get(), *file));
  }
  return options;
}

Result<size_t> job_count(const Arguments& arguments) {
  if (auto text = arguments.value("jobs")) {
    TRY_ASSIGN(uint64_t jobs, parse_number(*text, kMaxJobs, "--jobs"));
    if (jobs == 0) return usage_error("--jobs: at least 1");
    return static_cast<size_t>(jobs);
  }
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxJobs);
}

Result<std::unique_ptr<Source>> open_source(const std::string& path, SourceKind kind,
                                            const Arguments& arguments, BuildOptions& options) {
  os::UniqueFd fd;
  if (path == "-" && kind != SourceKind::directory) {
    fd.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
    if (!fd.valid()) return errno_error("standard input");
    if (kind == SourceKind::detect) kind = SourceKind::tar;
  } else {
    TRY_ASSIGN(fd, os::open(path, O_RDONLY));
  }
  TRY_ASSIGN(struct stat st, os::stat_of(fd.get(), path));
  bool directory = S_ISDIR(st.st_mode);
  if (kind != SourceKind::detect && kind != SourceKind::directory && directory)
    return make_error(Code::invalid_argument, path + ": is a directory, not a tar");
  if (kind == SourceKind::directory && !directory)
    return make_error(Code::invalid_argument, path + ": is not a directory");
  if (directory) {
    DirectoryOptions walk = {arguments.values("exclude"), {}, options.tree.whiteouts == WhiteoutSpec::oci};
    for (const std::string& pattern : options.prefetch) walk.first.push_back(pattern.substr(1));
    return make_directory_source(path, std::move(walk));
  }
  if (arguments.has("exclude")) return usage_error("--exclude: only for a directory");
  TRY_ASSIGN(auto bytes, open_bytes(std::move(fd), path, kind, options));
  bytes = make_read_ahead_source(std::move(bytes), kReadAheadBuffer, kReadAheadDepth);
  TRY_ASSIGN(auto tar, make_tar_source(std::move(bytes), path));
  bool estargz = kind == SourceKind::estargz || kind == SourceKind::estargz_ref;
  return estargz ? make_estargz_source(std::move(tar)) : std::move(tar);
}

Result<void> write_report(const Arguments& arguments, const BuildResult& result, double seconds) {
  auto path = arguments.value("report");
  if (!path) return {};
  const BuildCounters& counters = result.counters;
  nlohmann::ordered_json document = {{"seconds", seconds},
                                     {"files", counters.files},
                                     {"bytes_in", counters.bytes_in},
                                     {"bytes_out", counters.bytes_out},
                                     {"bootstrap_bytes", result.bootstrap.size()},
                                     {"chunks", counters.chunks},
                                     {"duplicates", counters.duplicates}};
  return os::publish_file(*path, as_bytes(document.dump(2) + "\n"));
}

}  // namespace mkfs
