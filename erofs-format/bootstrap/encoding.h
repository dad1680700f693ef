// Sizes and bytes of the pieces of a bootstrap, as both passes of writing and the reader need them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/bootstrap/tree.h"
#include "erofs-format/ondisk/erofs.h"

namespace erofs_format {

constexpr uint64_t kInodeSize = 64;  // extended form, the only one written

// The file_type of a dirent (ondisk::kFt…) that names an inode of this mode.
uint8_t file_type_of(uint16_t mode);

// The namespaces of xattrs that EROFS has an e_name_index for. The kernel skips others without a word.
struct XattrPrefix {
  uint8_t index;
  std::string_view prefix;
  bool whole;  // the name is the prefix
};
inline constexpr XattrPrefix kXattrPrefixes[] = {
    {ondisk::kXattrUser, "user.", false},
    {ondisk::kXattrPosixAclAccess, "system.posix_acl_access", true},
    {ondisk::kXattrPosixAclDefault, "system.posix_acl_default", true},
    {ondisk::kXattrTrusted, "trusted.", false},
    {ondisk::kXattrSecurity, "security.", false},
};

// e_name_index and the name without its prefix; index 0 when EROFS has no index for the prefix.
struct XattrName {
  uint8_t index = 0;
  std::string_view suffix;
};
XattrName split_xattr_name(std::string_view name);

// Bytes of the xattr body after an inode: 0 without xattrs.
uint64_t xattr_body_size(const Inode& inode);
// The body; entries in the order of their full names.
Buffer encode_xattr_body(const Inode& inode);

// One name of a directory, "." and ".." included, with what its dirent says.
struct DirentName {
  std::string_view name;
  InodeId inode = kNoInode;
};
// All names of a directory in the order of their bytes.
std::vector<DirentName> dirent_names(const Tree& tree, InodeId directory);
// Bytes of a directory (i_size): full blocks, and what the last one uses.
uint64_t directory_size(const Tree& tree, InodeId directory);

// log2 of the chunk size of a file's chunk format, less log2 of the block size. A file whose
// chunks are one run in a blob gets one large chunk, so that the kernel looks up one index.
uint16_t chunk_format_bits(const Tree& tree, const Inode& inode);

}  // namespace erofs_format
