// The limits of the tar reader. Memory is bounded by these, never by the archive.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mkfs {

constexpr size_t kTarBlockSize = 512;

// Bytes of one pax extended header: room for the largest xattrs EROFS can hold, twice (as bsdtar
// writes them), or for a sparse map of some 300,000 pieces.
constexpr size_t kTarMaxPaxHeader = 8u << 20;
// Global headers stay in force for the rest of the archive.
constexpr size_t kTarMaxGlobalPaxHeader = 64u << 10;

constexpr size_t kTarMaxComponent = 255;  // NAME_MAX, and what an EROFS directory can hold
// PATH_MAX bounds one system call, not the depth of a tree; this bounds the tree.
constexpr size_t kTarMaxPath = 16u << 10;
constexpr size_t kTarMaxSymlink = 4095;  // PATH_MAX without the NUL

constexpr size_t kTarMaxXattrName = 255;
constexpr size_t kTarMaxXattrValue = 65535;
constexpr size_t kTarMaxAclEntries = 8191;  // what fits into an xattr value

constexpr size_t kTarMaxSparsePieces = 1u << 20;  // 16 MiB of map
// A few bytes of archive can promise any number of zeros, and each costs time: 16 TiB.
constexpr uint64_t kTarMaxSparseSize = uint64_t{1} << 44;

// Members of an archive that is read in place, in memory: an image has some hundred.
constexpr size_t kTarMaxListed = 65536;

// Headers and short files are read through a buffer of this size; longer reads go past it.
constexpr size_t kTarBufferSize = 256u << 10;
// Bytes of a path shown in a message.
constexpr size_t kTarMaxShownPath = 200;

}  // namespace mkfs
