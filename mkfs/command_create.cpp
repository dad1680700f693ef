// `create`, the grammar of nydus-image (nydus-rafs-v6.md 4).
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

#include "erofs-format/base/log.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "mkfs/build_output.h"
#include "mkfs/commands.h"
#include "mkfs/create_options.h"
#include "mkfs/output_json.h"
#include "mkfs/parent.h"
#include "mkfs/prefetch.h"

namespace mkfs {

namespace {

constexpr std::array kCreateOptions = {
    Option{"type", 't', "TYPE",
           "dir-rafs (default), tar-rafs, targz-rafs, estargz-rafs; targz-ref, estargz-ref, tar-tarfs: "
           "SOURCE stays the data",
           "source-type"},
    Option{"bootstrap", 'B', "FILE", "write the bootstrap here"},
    Option{"blob-dir", 'D', "DIR", "write the blob here, named by its id"},
    Option{"blob", 'b', "FILE", "write the blob to this file or FIFO"},
    Option{"blob-inline-meta", 0, "", "put the bootstrap into the blob", "inline-bootstrap"},
    Option{"blob-id", 0, "ID", "id of the blob (its SHA-256)"},
    Option{"features", 0, "blob-toc", "add digests and a table of contents to the blob"},
    Option{"whiteout-spec", 0, "oci|overlayfs|none", "what marks removed files (oci)"},
    Option{"prefetch-policy", 0, "fs|blob|none", "fs, blob: paths on stdin are laid out first (none)"},
    Option{"output-json", 'J', "FILE", "write what was made as JSON"},
    Option{"repeatable", 0, "", "store no owners"},
    Option{"fs-version", 'v', "6", "version of the file system; only 6"},
    Option{"encrypt", 'E', "", "encrypt the blob (AES-128-XTS, random key); the bootstrap holds the key"},
    Option{"parent-bootstrap", 0, "FILE", "image that lies below what is built"},
    Option{"external-blob", 0, "FILE", "not supported"},
    Option{"blob-data-size", 0, "SIZE", "not supported (estargztoc-ref)"},
    Option{"blob-offset", 0, "OFFSET", "not supported"},
    Option{"attributes", 0, "FILE", "not supported yet"},
    Option{"blob-cache-dir", 0, "DIR", "not supported yet"},
    Option{"aligned-chunk", 0, "", "accepted: chunks are always aligned"},
    Option{"disable-check", 0, "", "accepted, has no effect"},
    Option{"config", 'C', "FILE", "accepted, has no effect"},
    kLogLevelOption,
    kLogFileOption,
};

constexpr auto kOptions = [] {
  std::array<Option, kCreateOptions.size() + kBuildOptions.size()> options;
  auto end = std::copy(kCreateOptions.begin(), kCreateOptions.end(), options.begin());
  std::copy(kBuildOptions.begin(), kBuildOptions.end(), end);
  return options;
}();

constexpr std::string_view kNotYet[] = {"attributes", "blob-cache-dir"};
constexpr std::string_view kNever[] = {"external-blob", "blob-data-size", "blob-offset"};

Result<SourceKind> source_kind(const Arguments& arguments) {
  std::string type = arguments.value_or("type", "dir-rafs");
  if (type == "dir-rafs" || type == "directory") return SourceKind::directory;
  if (type == "tar-rafs" || type == "targz-rafs") return SourceKind::tar;
  if (type == "estargz-rafs") return SourceKind::estargz;
  if (type == "targz-ref") return SourceKind::tar_ref;
  if (type == "estargz-ref") return SourceKind::estargz_ref;
  if (type == "tar-tarfs") return SourceKind::tarfs;
  for (std::string_view known : {"estargztoc-ref", "stargz_index"})
    if (type == known) return make_error(Code::unsupported, "--type: not supported yet: " + type);
  return usage_error("--type: '" + type + "' is not known");
}

// What makes no sense when the data stays in the source.
Result<void> check_original(const Arguments& arguments, SourceKind kind) {
  bool tarfs = kind == SourceKind::tarfs;
  if (!tarfs && kind != SourceKind::tar_ref && kind != SourceKind::estargz_ref) return {};
  std::string type = arguments.value_or("type", "");
  for (std::string_view option : {"batch-size", "encrypt", "chunk-dict", "parent-bootstrap"})
    if (arguments.has(option)) return usage_error(fmt::format("--type {} excludes --{}", type, option));
  for (std::string_view option : {"blob", "blob-inline-meta", "features"})
    if (tarfs && arguments.has(option))
      return usage_error(fmt::format("--type {} excludes --{}", type, option));
  return {};
}

void set_places(SourceKind kind, BuildOptions& options) {
  bool tarfs = kind == SourceKind::tarfs;
  if (!tarfs && kind != SourceKind::tar_ref && kind != SourceKind::estargz_ref) return;
  options.chunks.places = tarfs ? ChunkPlaces::tar : ChunkPlaces::original;
  // As the format has it, whatever was asked for.
  options.chunks.compressor = Compressor::none;
  options.chunks.digester = Digester::sha256;
  options.blob.separate = !tarfs;
}

Result<WhiteoutSpec> whiteout_spec(const Arguments& arguments) {
  std::string spec = arguments.value_or("whiteout-spec", "oci");
  if (spec == "oci") return WhiteoutSpec::oci;
  if (spec == "overlayfs") return WhiteoutSpec::overlayfs;
  if (spec == "none") return WhiteoutSpec::none;
  return usage_error("--whiteout-spec: '" + spec + "' is not oci, overlayfs or none");
}

Result<void> check_parent(const Arguments& arguments) {
  if (!arguments.has("parent-bootstrap")) return {};
  if (arguments.has("blob-inline-meta")) return usage_error("--parent-bootstrap excludes --blob-inline-meta");
  if (std::string spec = arguments.value_or("whiteout-spec", "oci"); spec != "oci")
    return make_error(Code::unsupported,
                      "--parent-bootstrap: not supported yet with --whiteout-spec " + spec);
  return {};
}

Result<std::optional<Parent>> open_parent(const Arguments& arguments) {
  auto path = arguments.value("parent-bootstrap");
  if (!path) return std::optional<Parent>();
  TRY_ASSIGN(Tree tree, open_bootstrap(*path));
  return std::optional<Parent>({*path, std::move(tree)});
}

Result<void> check_conflicts(const Arguments& arguments) {
  TRY(refuse_options(arguments, kNotYet, "not supported yet"));
  TRY(refuse_options(arguments, kNever, "not supported"));
  if (arguments.positional().size() != 1) return usage_error("one SOURCE is needed");
  if (arguments.value_or("fs-version", "6") != "6")
    return make_error(Code::unsupported, "not supported: --fs-version " + *arguments.value("fs-version"));
  bool inline_meta = arguments.has("blob-inline-meta");
  if (inline_meta && arguments.has("bootstrap"))
    return usage_error("--blob-inline-meta excludes --bootstrap");
  if (inline_meta && arguments.has("blob-id")) return usage_error("--blob-inline-meta excludes --blob-id");
  if (arguments.value_or("blob-id", "").size() > 64)
    return usage_error("--blob-id: longer than 64 characters");
  if (!arguments.has("blob") && !arguments.has("blob-dir"))
    return usage_error("--blob or --blob-dir is needed");
  if (!inline_meta && !arguments.has("bootstrap") && !arguments.has("blob-dir"))
    return usage_error("--bootstrap or --blob-dir is needed");
  TRY(check_parent(arguments));
  auto features = arguments.value("features");
  if (features && *features != "blob-toc") return usage_error("--features: '" + *features + "' is not known");
  return {};
}

Result<BuildOptions> create_build_options(const Arguments& arguments, std::unique_ptr<Dictionary>& dictionary,
                                          const Tree* parent) {
  TRY_ASSIGN(BuildOptions options, build_options(arguments, dictionary, parent));
  TRY_ASSIGN(options.tree.whiteouts, whiteout_spec(arguments));
  if (parent) {
    options.tree.whiteouts = WhiteoutSpec::none;  // they are for the parent
    options.keep_tree = true;
  }
  options.blob.toc = arguments.has("features");
  options.blob.inline_meta = arguments.has("blob-inline-meta");
  options.blob_id = arguments.value_or("blob-id", "");
  if (arguments.has("encrypt")) {
    TRY_ASSIGN(options.chunks.cipher, random_cipher_key());
  }
  options.explicit_uid_gid = !arguments.has("repeatable");
  std::string policy = arguments.value_or("prefetch-policy", "none");
  if (policy != "none" && policy != "fs" && policy != "blob")
    return usage_error("--prefetch-policy: '" + policy + "' is not fs, blob or none");
  if (policy != "none") {
    TRY_ASSIGN(options.prefetch, read_prefetch_patterns(STDIN_FILENO, "standard input"));
    options.prefetch_table = policy == "fs";
  }
  return options;
}

void log_built(const BuildResult& result, const std::string& bootstrap) {
  std::string blobs;
  for (const Blob& blob : result.tree.blobs)
    blobs.append(blobs.empty() ? "" : ", ").append("\"").append(blob.id).append("\"");
  log_line(
      LogLevel::info, "create",
      fmt::format(
          "successfully built RAFS filesystem: meta blob path: {}, data blob size: {:#x}, data blobs: [{}]",
          bootstrap.empty() ? "<none>" : bootstrap, result.counters.bytes_out, blobs));
}

Result<void> run(const Arguments& arguments) {
  auto started = std::chrono::steady_clock::now();
  TRY(check_conflicts(arguments));
  TRY_ASSIGN(SourceKind kind, source_kind(arguments));
  TRY(check_original(arguments, kind));
  std::unique_ptr<Dictionary> dictionary;
  TRY_ASSIGN(auto parent, open_parent(arguments));
  TRY_ASSIGN(BuildOptions options,
             create_build_options(arguments, dictionary, parent ? &parent->tree : nullptr));
  set_places(kind, options);
  TRY_ASSIGN(size_t jobs, job_count(arguments));
  const std::string& path = arguments.positional()[0];
  // The source first, then the blob: the order in which callers open the other ends of FIFOs.
  TRY_ASSIGN(auto source, open_source(path, kind, arguments, options));
  TRY_ASSIGN(BuildOutput output, BuildOutput::open({arguments.value("blob"), arguments.value("blob-dir"),
                                                    arguments.value("bootstrap"), options.blob.inline_meta}));
  WorkerPool pool(jobs);
  auto result = build_image(*source, options, pool, output.blob_fd(), output.blob_name());
  if (!result) return name_source(path, std::move(result).error());
  if (parent) TRY(lay_over_parent(std::move(*parent), path, *result));
  TRY_ASSIGN(std::string bootstrap, output.publish(*result));
  if (auto json = arguments.value("output-json")) TRY(write_output_json(*json, result->tree, bootstrap));
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  log_built(*result, bootstrap);
  return write_report(arguments, *result, seconds.count());
}

}  // namespace

const Command kCreateCommand = {"create", "[OPTIONS] SOURCE",
                                "A directory or tar becomes a data blob and a bootstrap.", kOptions, run};

}  // namespace mkfs
