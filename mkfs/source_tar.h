// A tar stream as a source of entries, in one pass.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "erofs-format/base/stream.h"
#include "mkfs/source.h"

namespace mkfs {

// `input` is the uncompressed archive and may be a FIFO; it is read to its end, also behind the archive's
// own end mark, so that its writer can finish. `name` is for messages. The root is an entry only if
// the archive has one; an entry whose hard_link_to is its own path repeats an earlier name.
Result<std::unique_ptr<Source>> make_tar_source(std::unique_ptr<ByteSource> input, std::string name);

// A regular file of an archive that is read in place, or a link to one.
struct ArchiveMember {
  std::string path;
  uint64_t offset = 0;  // of its content in the archive
  uint64_t size = 0;
  std::string link;        // not empty: what it leads to, as the archive says it
  bool hard_link = false;  // `link` is the path of another member
};

// All of them, at most kTarMaxListed; sparse ones are left out.
Result<std::vector<ArchiveMember>> list_tar_members(std::unique_ptr<ByteSource> input, std::string name);

}  // namespace mkfs
