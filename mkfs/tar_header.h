// One tar header block, and what it means together with the extension headers before it.
// Pure functions on bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "erofs-format/base/result.h"
#include "mkfs/source.h"
#include "mkfs/tar_limits.h"
#include "mkfs/tar_pax.h"
#include "mkfs/tar_sparse.h"

namespace mkfs {

// POSIX ustar; the tail is `prefix` there and something else in GNU archives.
struct TarBlock {
  uint8_t name[100];
  uint8_t mode[8];
  uint8_t uid[8];
  uint8_t gid[8];
  uint8_t size[12];
  uint8_t mtime[12];
  uint8_t checksum[8];
  uint8_t type;
  uint8_t linkname[100];
  uint8_t magic[8];  // and version
  uint8_t uname[32];
  uint8_t gname[32];
  uint8_t devmajor[8];
  uint8_t devminor[8];
  union {
    uint8_t prefix[155];
    struct {
      uint8_t times_and_offset[41];  // atime, ctime, offset, longnames, unused
      uint8_t sparse[96];
      uint8_t is_extended;
      uint8_t real_size[12];
    } gnu;
  };
  uint8_t padding[12];
};
static_assert(sizeof(TarBlock) == kTarBlockSize && alignof(TarBlock) == 1);
static_assert(offsetof(TarBlock, prefix) == 345 && offsetof(TarBlock, gnu.real_size) == 483);

// More descriptors of an old GNU sparse file.
struct TarSparseBlock {
  uint8_t sparse[504];
  uint8_t is_extended;
  uint8_t padding[7];
};
static_assert(sizeof(TarSparseBlock) == kTarBlockSize);

enum class TarRole {
  member,         // a path of the tree
  pax_header,     // 'x' (and 'X', as Solaris wrote it)
  global_header,  // 'g'
  gnu_long_name,  // 'L'
  gnu_long_link,  // 'K'
  volume_label,   // 'V': says nothing about the tree
};

// What extension headers said about the next member.
struct TarExtensions {
  std::optional<std::string> long_name;
  std::optional<std::string> long_link;
  PaxFields pax;
};

enum class TarSparseForm { none, old_gnu, records, in_data };

struct TarMember {
  SourceEntry entry;
  uint64_t stored_size = 0;  // bytes of data in the archive, padding not counted
  TarSparseForm sparse = TarSparseForm::none;
  SparseMap map;  // old_gnu: the pieces of this block, more may follow; records: complete
};

bool is_zero_block(const TarBlock& block);
// Sums of unsigned and of signed bytes are both accepted: both were written.
Result<void> verify_checksum(const TarBlock& block);
// Refuses types it does not know: skipping data of an unknown kind is how readers come to disagree.
Result<TarRole> role_of(const TarBlock& block);
// The size field alone, which is all that counts for extension headers.
Result<uint64_t> size_field(const TarBlock& block);
// Bytes of data that follow: the one place that decides between pax and header.
Result<uint64_t> stored_size(const TarBlock& block, const PaxFields& pax);
// The name as written, for messages and decode_member().
std::string raw_name(const TarBlock& block, const TarExtensions& extensions);
Result<TarMember> decode_member(const TarBlock& block, const TarExtensions& extensions);

// "./a//b/" -> "a/b"; "" is the root. Refuses "..", long names and the empty name.
Result<std::string> clean_path(std::string_view raw);

}  // namespace mkfs
