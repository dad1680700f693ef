// The bootstrap inside the last layer of a Nydus image.
#pragma once

#include <string>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace erofs_format {

constexpr uint64_t kMaxBootstrapBytes = 1ull << 30;
constexpr uint64_t kMaxLayerEntries = 4096;

// `image/image.boot` (or `image.boot`, as first converters wrote it) out of a tar: plain, gzip or zstd. What
// stands in front of it is skipped; a header that cannot be understood is an error. `name` is for messages.
Result<Buffer> read_bootstrap_layer(ByteView layer, const std::string& name);

}  // namespace erofs_format
