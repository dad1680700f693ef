// Pax extended headers: their records, and what they say about an entry.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"
#include "mkfs/tar_number.h"

namespace mkfs {

// Calls `record(key, value)` for each "LENGTH KEY=VALUE\n". A value may hold any byte. Errors name the
// byte of the record within the header.
using PaxRecordHandler = std::function<Result<void>(std::string_view key, std::string_view value)>;
Result<void> for_each_pax_record(ByteView header, const PaxRecordHandler& record);

struct SparsePiece {
  uint64_t offset = 0;  // in the file
  uint64_t size = 0;
};

// GNU.sparse.* as read; tar_sparse.h makes a map of it.
struct PaxSparse {
  bool present = false;
  std::optional<uint64_t> major;
  std::optional<uint64_t> minor;
  std::optional<uint64_t> size;  // of the file, holes included
  std::optional<std::string> name;
  std::vector<SparsePiece> pieces;  // 0.0 and 0.1
  bool piece_open = false;          // 0.0: an offset waits for its numbytes
};

// What the pax headers in force say about one entry. Unset: the header block decides.
struct PaxFields {
  std::optional<std::string> path;
  std::optional<std::string> linkpath;
  std::optional<uint64_t> size;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::optional<TarTime> mtime;
  std::optional<uint32_t> device_major;
  std::optional<uint32_t> device_minor;
  std::string acl_access;  // text form; empty = none
  std::string acl_default;
  std::string selinux;  // context without NUL; empty = none
  Xattrs xattrs;
  // libarchive writes each xattr twice, and percent-encodes the name in the SCHILY record, too, where
  // nobody decodes it: such names are not real.
  std::vector<std::string> false_xattrs;
  PaxSparse sparse;
};

// Applies the records of an 'x' header. An empty value takes back what a global header said, except in
// xattrs, where it is an empty value.
Result<void> apply_pax_header(ByteView header, PaxFields& fields);
// The same for a 'g' header, which may not hold what can belong to one entry only.
Result<void> apply_global_pax_header(ByteView header, PaxFields& fields);

}  // namespace mkfs
