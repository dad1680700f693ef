// Where the entries of an image come from: a directory or a tar stream, each
// one pass, in the order the source has them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace mkfs {

using namespace erofs_format;

// One path of the source. `path` is relative to the root, without leading or
// trailing slash, cleaned ("" = the root itself), and never leaves the tree.
struct SourceEntry {
  std::string path;
  uint16_t mode = 0;  // full st_mode
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t rdev = 0;
  int64_t mtime = 0;
  uint32_t mtime_nsec = 0;
  uint64_t size = 0;         // regular files: bytes of content (holes included)
  std::string target;        // symlinks
  std::string hard_link_to;  // not empty: another name of that earlier path, nothing else counts
  Xattrs xattrs;
};

// Whether a path marks a removal by the OCI image specification, or lies below such a name, as aufs
// kept some.
inline bool is_oci_whiteout(std::string_view path) {
  return path.starts_with(".wh.") || path.find("/.wh.") != path.npos;
}

// Messages of a source's reader begin with its name, those of the builder with the path in it.
inline Error name_source(const std::string& name, Error error) {
  if (error.message.starts_with(name + ":") || error.message.starts_with(name + "/")) return error;
  return std::move(error).within(name);
}

class Source {
 public:
  virtual ~Source() = default;
  // The next entry, false at the end.
  virtual Result<bool> next(SourceEntry& entry) = 0;
  // Content of the regular file next() gave last, in order: up to into.size() bytes, 0 only at the end;
  // holes read as zeros. Content not read is skipped by the following next().
  // Code::changed when the file is not what next() said (size, mtime, identity).
  virtual Result<size_t> read(MutableBytes into) = 0;
  // The byte of the raw tar that read() gives next; none where the content is not in one piece there.
  virtual std::optional<uint64_t> position() const { return std::nullopt; }
};

}  // namespace mkfs
