// Every limit of the builder, by name. Those of the tar reader: tar_limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mkfs {

// Small chunks travel between threads in bundles of about this many bytes.
constexpr size_t kBundleSize = size_t{1} << 20;
// ... and at most so many of them: what is known of a chunk of a few bytes is larger than the chunk.
constexpr size_t kBundleChunks = 2048;
// Bundles under way for each job: one being compressed, one waiting, one being written.
constexpr size_t kBundlesPerJob = 3;
// More jobs than this help nobody.
constexpr size_t kMaxJobs = 256;
// Directories inside each other.
constexpr size_t kMaxDepth = 8192;
// Open files: one for each directory on the way down, and some for everything else.
constexpr size_t kDescriptors = kMaxDepth + 512;
// Bytes of directory entries taken from the kernel at a time.
constexpr size_t kDirectoryBuffer = size_t{1} << 16;
// Bytes of the xattr name list of one file.
constexpr size_t kMaxXattrList = size_t{1} << 16;

}  // namespace mkfs
