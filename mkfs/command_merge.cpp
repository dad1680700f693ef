#include <fmt/format.h>
#include <unistd.h>

#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "mkfs/build_output.h"
#include "mkfs/commands.h"
#include "mkfs/create_options.h"
#include "mkfs/merge.h"
#include "mkfs/output_json.h"
#include "mkfs/prefetch.h"

namespace mkfs {

namespace {

constexpr Option kOptions[] = {
    {"bootstrap", 'B', "FILE", "write the merged bootstrap here"},
    {"blob-dir", 'D', "DIR", "write it here instead, named by its SHA-256"},
    {"parent-bootstrap", 0, "FILE", "image that lies below all layers"},
    {"chunk-dict", 0, "FILE", "dictionary the layers were built with (also bootstrap=FILE)"},
    {"blob-digests", 0, "LIST", "SHA-256 of each layer's blob"},
    {"original-blob-ids", 0, "LIST", "id of each layer's blob"},
    {"blob-sizes", 0, "LIST", "size of each layer's blob"},
    {"blob-toc-digests", 0, "LIST", "SHA-256 of each table of contents"},
    {"blob-toc-sizes", 0, "LIST", "size of each table of contents"},
    {"prefetch-policy", 0, "fs|blob|none", "fs, blob: read paths from stdin (none)"},
    {"output-json", 'J', "FILE", "write what was made as JSON"},
    {"config", 'C', "FILE", "accepted, has no effect"},
    kLogLevelOption,
    kLogFileOption,
};

// A comma list with one item per layer; absent is empty.
Result<std::vector<std::string>> list_option(const Arguments& arguments, std::string_view option,
                                             size_t layers) {
  std::vector<std::string> items;
  auto text = arguments.value(option);
  if (!text) return items;
  for (size_t start = 0;;) {
    size_t comma = text->find(',', start);
    items.push_back(text->substr(start, comma == text->npos ? comma : comma - start));
    if (comma == text->npos) break;
    start = comma + 1;
  }
  if (items.size() != layers)
    return make_error(Code::invalid_argument,
                      fmt::format("--{}: {} entries for {} layers", option, items.size(), layers));
  return items;
}

Result<Digest> digest_item(std::string_view option, const std::string& item) {
  auto digest = digest_from_hex(item);
  if (!digest) return std::move(digest).error().within(fmt::format("--{}: '{}'", option, printable(item)));
  return digest;
}

Result<std::vector<OwnBlob>> own_blobs(const Arguments& arguments, size_t layers) {
  TRY_ASSIGN(auto digests, list_option(arguments, "blob-digests", layers));
  TRY_ASSIGN(auto ids, list_option(arguments, "original-blob-ids", layers));
  TRY_ASSIGN(auto sizes, list_option(arguments, "blob-sizes", layers));
  TRY_ASSIGN(auto toc_digests, list_option(arguments, "blob-toc-digests", layers));
  TRY_ASSIGN(auto toc_sizes, list_option(arguments, "blob-toc-sizes", layers));
  std::vector<OwnBlob> blobs(layers);
  for (size_t i = 0; i < layers; i++) {
    if (!digests.empty()) {
      TRY_ASSIGN(blobs[i].blob_digest, digest_item("blob-digests", digests[i]));
    }
    if (!ids.empty()) blobs[i].original_id = ids[i];
    if (!sizes.empty()) {
      TRY_ASSIGN(blobs[i].size, parse_number(sizes[i], INT64_MAX, "--blob-sizes"));
    }
    if (!toc_digests.empty()) {
      TRY_ASSIGN(blobs[i].toc_digest, digest_item("blob-toc-digests", toc_digests[i]));
    }
    if (!toc_sizes.empty()) {
      TRY_ASSIGN(blobs[i].toc_size, parse_number(toc_sizes[i], UINT32_MAX, "--blob-toc-sizes"));
    }
  }
  return blobs;
}

Result<Tree> read_tree(const std::string& path) {
  TRY_ASSIGN(Buffer bytes, load_bootstrap(path));
  return take_tree(std::move(bytes), path);
}

Result<std::set<std::string>> dictionary_blobs(const Arguments& arguments) {
  std::set<std::string> ids;
  auto path = dictionary_path(arguments);
  if (!path) return ids;
  TRY_ASSIGN(Tree dictionary, read_tree(*path));
  for (const Blob& blob : dictionary.blobs) ids.insert(blob.id);
  return ids;
}

Result<Tree> merge_files(const Arguments& arguments) {
  const auto& paths = arguments.positional();
  TRY_ASSIGN(auto own, own_blobs(arguments, paths.size()));
  TRY_ASSIGN(auto dictionary, dictionary_blobs(arguments));
  std::vector<MergeLayer> layers;
  if (auto parent = arguments.value("parent-bootstrap")) {
    TRY_ASSIGN(Tree tree, read_tree(*parent));
    layers.push_back({*parent, std::move(tree)});
    for (const Blob& blob : layers[0].tree.blobs) dictionary.insert(blob.id);
  }
  for (size_t i = 0; i < paths.size(); i++) {
    TRY_ASSIGN(Tree tree, read_tree(paths[i]));
    TRY(fix_own_blob(tree, paths[i], own[i], dictionary));
    layers.push_back({paths[i], std::move(tree)});
  }
  return merge_layers(std::move(layers), MergeOptions{});
}

Result<void> run(const Arguments& arguments) {
  if (arguments.positional().empty()) return usage_error("merge: no source bootstrap given");
  if (!arguments.has("bootstrap") && !arguments.has("blob-dir"))
    return usage_error("merge: --bootstrap or --blob-dir is missing");
  std::string policy = arguments.value_or("prefetch-policy", "none");
  if (policy != "fs" && policy != "blob" && policy != "none")
    return usage_error(fmt::format("--prefetch-policy: '{}' is not fs, blob or none", printable(policy)));
  std::vector<std::string> patterns;
  if (policy != "none") {
    TRY_ASSIGN(patterns, read_prefetch_patterns(STDIN_FILENO, "standard input"));
  }
  TRY_ASSIGN(Tree tree, merge_files(arguments));
  // The policy `blob` moves data, which a merge does not touch.
  if (policy == "fs") tree.prefetch = resolve_prefetch(tree, patterns);
  TRY_ASSIGN(std::string path, publish_bootstrap(arguments, tree));
  if (auto json = arguments.value("output-json")) return write_output_json(*json, tree, path);
  return {};
}

}  // namespace

const Command kMergeCommand = {
    "merge", "[OPTIONS] -B BOOTSTRAP LAYER...",
    "Merge the bootstraps of layers, lowest first, into the bootstrap of an image.", kOptions, run};

}  // namespace mkfs
