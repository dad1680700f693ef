// The options of building, shared by `create` and the default form.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "erofs-format/base/options.h"
#include "mkfs/build.h"
#include "mkfs/source.h"

namespace mkfs {

inline constexpr std::array kBuildOptions = {
    Option{"compressor", 0, "zstd|lz4|none", "how chunks are compressed (zstd)"},
    Option{"level", 0, "N", "zstd level (3)"},
    Option{"chunk-size", 0, "SIZE", "power of two, 4K to 16M (1M)"},
    Option{"batch-size", 0, "SIZE", "compress small chunks together up to this size (0: each alone)"},
    Option{"digester", 0, "blake3|sha256", "digest of chunks (blake3)"},
    Option{"chunk-dict", 0, "BOOTSTRAP", "do not store chunks this image has (also bootstrap=FILE)"},
    Option{"jobs", 0, "N", "threads (all processors)"},
    Option{"prefetch-files", 0, "FILE", "file of absolute paths to be read first, and laid out first"},
    Option{"all-root", 0, "", "everything belongs to uid 0, gid 0"},
    Option{"exclude", 0, "PATTERN", "leave out matching names, or paths if it has a slash"},
    Option{"source-date-epoch", 0, "SECONDS", "no time in the image is later (also $SOURCE_DATE_EPOCH)"},
    Option{"report", 0, "FILE", "write seconds, bytes, files and chunks as JSON"},
};

// The build the options ask for. `dictionary` receives what --chunk-dict names, and the chunks of `parent` if
// there is one; it must live as long.
Result<BuildOptions> build_options(const Arguments& arguments, std::unique_ptr<Dictionary>& dictionary,
                                   const Tree* parent = nullptr);
// The bootstrap --chunk-dict names, if it was given.
std::optional<std::string> dictionary_path(const Arguments& arguments);
Result<size_t> job_count(const Arguments& arguments);

// The last three stay as they are: an image is made over them.
enum class SourceKind { detect, directory, tar, estargz, tar_ref, estargz_ref, tarfs };
// Opens a directory, or a tar (plain, gzip, zstd; a file, FIFO or `-`). One that stays as it is becomes the
// options' original.
Result<std::unique_ptr<Source>> open_source(const std::string& path, SourceKind kind,
                                            const Arguments& arguments, BuildOptions& options);

// Writes FILE of --report, if it was given.
Result<void> write_report(const Arguments& arguments, const BuildResult& result, double seconds);

}  // namespace mkfs
