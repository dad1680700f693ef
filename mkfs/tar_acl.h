// POSIX ACLs as archives write them: text, or the kernel's own form (xattr, version 2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "erofs-format/base/result.h"

namespace mkfs {

using namespace erofs_format;

struct PosixAcl {
  std::string xattr;      // value of system.posix_acl_*
  uint16_t mode = 0;      // the nine permission bits the kernel derives from it
  bool extended = false;  // says more than the mode can
};

// Long text ("user::rwx", "user:NAME:r-x:1000", "default:" prefixes, comments) as GNU tar, star and
// libarchive write it, separated by commas or newlines. A name without a number is looked up
// as tar does when it extracts; one that is unknown is an error.
Result<PosixAcl> parse_acl_text(std::string_view text);
// The value of a system.posix_acl_* xattr, held to the kernel's rules.
Result<PosixAcl> parse_acl_xattr(std::string_view value);

}  // namespace mkfs
