#include <fcntl.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "erofs-format/base/os.h"
#include "mkfs/commands.h"
#include "mkfs/convert.h"
#include "mkfs/create_options.h"
#include "mkfs/prefetch.h"

namespace mkfs {

namespace {

constexpr Option kOwnOptions[] = {
    {"platform", 0, "OS/ARCH[/VARIANT]|all",
     "which image of an index (this machine's); repeated: several; all: all"},
    {"index", 0, "", "an index of the original image and the Nydus one, for clients of both kinds"},
    {"index-mark", 0, "artifact-type|os-features", "how the index marks the Nydus one (artifact-type)"},
    {"work-dir", 0, "DIR", "where a blob lies until it is pushed to a registry ($TMPDIR, /var/tmp)"},
    {"authfile", 0, "FILE", "credentials, as docker login writes them (the usual places)"},
    {"plain-http", 0, "HOST", "speak to this registry (HOST[:PORT]) without TLS (loopback: always)"},
    {"ca", 0, "FILE", "trust these authorities of registries besides the system's"},
    {"reuse", 0, "IMAGE", "take layers converted before from there too, not only from the target's images"},
    {"cache", 0, "DIR", "keep converted layers there, and take them from there"},
    {"no-reuse", 0, "", "convert every layer anew"},
    {"progress", 0, "auto|plain|none", "what is shown of each layer on stderr (auto)"},
    {"dedupe", 0, "layer|image", "image: a chunk of a lower layer is not stored again (layer)"},
};

// Names are matched where a source is opened, which layers are not: what an image holds stays.
constexpr std::string_view kNotForImages = "exclude";

constexpr auto kOptions = [] {
  std::array<Option, kBuildOptions.size() - 1 + std::size(kOwnOptions)> all{};
  size_t count = 0;
  for (const Option& option : kOwnOptions) all[count++] = option;
  for (const Option& option : kBuildOptions)
    if (option.name != kNotForImages) all[count++] = option;
  return all;
}();

RegistryOptions registry_options(const Arguments& arguments) {
  RegistryOptions options;
  options.http.user_agent = "mkfs.nydus-erofs";
  options.http.ca_file = arguments.value_or("ca", "");
  options.auth_file = arguments.value_or("authfile", "");
  options.plain_hosts = arguments.values("plain-http");
  const char* temporary = std::getenv("TMPDIR");
  options.work_dir =
      arguments.value_or("work-dir", temporary != nullptr && *temporary != '\0' ? temporary : "/var/tmp");
  return options;
}

Result<PlatformChoice> platform_choice(const Arguments& arguments) {
  PlatformChoice choice;
  for (const std::string& text : arguments.values("platform")) {
    if (text == "all") {
      choice.all = true;
      continue;
    }
    TRY_ASSIGN(Platform platform, parse_platform(text));
    choice.wanted.push_back(std::move(platform));
  }
  if (choice.all && !choice.wanted.empty()) return usage_error("--platform: all, or each by its name");
  return choice;
}

Result<std::optional<IndexMark>> index_mark(const Arguments& arguments) {
  std::string mark = arguments.value_or("index-mark", "artifact-type");
  if (mark != "artifact-type" && mark != "os-features")
    return usage_error(
        fmt::format("--index-mark: '{}' is not artifact-type or os-features", printable(mark)));
  if (!arguments.has("index")) {
    if (arguments.has("index-mark")) return usage_error("--index-mark: only with --index");
    return std::optional<IndexMark>();
  }
  return std::optional(mark == "os-features" ? IndexMark::os_features : IndexMark::artifact_type);
}

Result<ConvertOptions> convert_options(const Arguments& arguments, std::unique_ptr<Dictionary>& dictionary) {
  ConvertOptions options;
  TRY_ASSIGN(options.build, build_options(arguments, dictionary));
  options.build.blob = {.toc = true, .inline_meta = true};
  options.build.tree.whiteouts = WhiteoutSpec::none;
  options.build.tree.to_merge = true;
  options.build.keep_tree = true;
  options.prefetch = std::exchange(options.build.prefetch, {});
  TRY_ASSIGN(options.jobs, job_count(arguments));
  options.registry = registry_options(arguments);
  TRY_ASSIGN(options.platforms, platform_choice(arguments));
  TRY_ASSIGN(options.index, index_mark(arguments));
  std::string progress = arguments.value_or("progress", "auto");
  if (progress != "auto" && progress != "plain" && progress != "none")
    return usage_error(fmt::format("--progress: '{}' is not auto, plain or none", printable(progress)));
  options.progress = ProgressDisplay::style_of(progress);
  options.reuse = !arguments.has("no-reuse");
  options.cache = arguments.value_or("cache", "");
  for (const std::string& text : arguments.values("reuse")) {
    TRY_ASSIGN(ImageReference image, parse_reference(text));
    options.similar.push_back(std::move(image));
  }
  std::string dedupe = arguments.value_or("dedupe", "layer");
  if (dedupe != "layer" && dedupe != "image")
    return usage_error(fmt::format("--dedupe: '{}' is not layer or image", printable(dedupe)));
  options.dedupe_image = dedupe == "image";
  if (options.dedupe_image && dictionary)
    return usage_error("--dedupe image and --chunk-dict exclude each other");
  return options;
}

nlohmann::ordered_json counters_json(const BuildCounters& counters) {
  return {{"files", counters.files},
          {"bytes_in", counters.bytes_in},
          {"bytes_out", counters.bytes_out},
          {"chunks", counters.chunks},
          {"duplicates", counters.duplicates}};
}

std::string report_json(const ConvertReport& report, double seconds) {
  auto layers = nlohmann::ordered_json::array();
  BuildCounters all;
  for (const LayerReport& layer : report.layers) {
    nlohmann::ordered_json entry = {{"platform", to_string(layer.platform)},
                                    {"source_digest", digest_text(layer.source.digest)},
                                    {"source_size", layer.source.size},
                                    {"blob_digest", digest_text(layer.blob.digest)},
                                    {"blob_size", layer.blob.size}};
    entry["reused"] = layer.reused ? nlohmann::ordered_json(to_string(*layer.reused)) : nullptr;
    entry["pulled"] = layer.pulled;
    entry["pushed"] = layer.pushed;
    entry.update(counters_json(layer.counters));
    layers.push_back(std::move(entry));
    all.files += layer.counters.files;
    all.bytes_in += layer.counters.bytes_in;
    all.bytes_out += layer.counters.bytes_out;
    all.chunks += layer.counters.chunks;
    all.duplicates += layer.counters.duplicates;
  }
  nlohmann::ordered_json document = {{"seconds", seconds}};
  document.update(counters_json(all));
  document["bootstrap_size"] = report.bootstrap_size;
  document["bootstrap_layer_size"] = report.bootstrap_layer_size;
  document["manifest"] = digest_text(report.root);
  document["layers"] = std::move(layers);
  return document.dump(2) + "\n";
}

Result<void> run(const Arguments& arguments) {
  if (arguments.positional().size() != 2)
    return usage_error("convert: a source and a target image are needed");
  TRY_ASSIGN(ImageReference source, parse_reference(arguments.positional()[0]));
  TRY_ASSIGN(ImageReference target, parse_reference(arguments.positional()[1]));
  std::unique_ptr<Dictionary> dictionary;
  TRY_ASSIGN(ConvertOptions options, convert_options(arguments, dictionary));
  auto start = std::chrono::steady_clock::now();
  TRY_ASSIGN(ConvertReport report, convert_image(source, target, options));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (auto path = arguments.value("report"))
    return os::publish_file(*path, as_bytes(report_json(report, seconds)));
  return {};
}

}  // namespace

const Command kConvertCommand = {
    "convert", "[OPTIONS] IMAGE IMAGE",
    "Make a Nydus image of an OCI or Docker image "
    "(docker://HOST[:PORT]/NAME[:TAG|@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG] or "
    "docker-archive:FILE[:NAME:TAG]).",
    kOptions, run};

}  // namespace mkfs
