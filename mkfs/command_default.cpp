#include <chrono>

#include "erofs-format/base/os.h"
#include "mkfs/build_output.h"
#include "mkfs/commands.h"
#include "mkfs/create_options.h"

namespace mkfs {

namespace {

constexpr auto kOptions = [] {
  std::array<Option, kBuildOptions.size() + 1> options;
  options[0] = {"blob-dir", 'D', "DIR", "where the data blob goes (beside the bootstrap)"};
  std::copy(kBuildOptions.begin(), kBuildOptions.end(), options.begin() + 1);
  return options;
}();

Result<void> run(const Arguments& arguments) {
  if (arguments.positional().size() != 2) return usage_error("BOOTSTRAP and SOURCE are needed");
  auto started = std::chrono::steady_clock::now();
  std::unique_ptr<Dictionary> dictionary;
  TRY_ASSIGN(BuildOptions options, build_options(arguments, dictionary));
  TRY_ASSIGN(size_t jobs, job_count(arguments));
  const std::string& bootstrap = arguments.positional()[0];
  const std::string& path = arguments.positional()[1];
  TRY_ASSIGN(auto source, open_source(path, SourceKind::detect, arguments, options));
  OutputPaths paths;
  paths.bootstrap = bootstrap;
  paths.blob_dir = arguments.value_or("blob-dir", os::parent_directory(bootstrap));
  TRY_ASSIGN(BuildOutput output, BuildOutput::open(paths));
  WorkerPool pool(jobs);
  auto result = build_image(*source, options, pool, output.blob_fd(), output.blob_name());
  if (!result) return name_source(path, std::move(result).error());
  TRY(output.publish(*result));
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  return write_report(arguments, *result, seconds.count());
}

}  // namespace

const Command kDefaultCommand = {
    "", "[OPTIONS] BOOTSTRAP SOURCE",
    "SOURCE (a directory; a tar, also gzip or zstd; - = standard input) becomes BOOTSTRAP and a data blob.",
    kOptions, run};

}  // namespace mkfs
