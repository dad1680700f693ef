// A tar stream as a source of entries, in one pass.
#pragma once

#include <memory>
#include <string>

#include "erofs-format/base/stream.h"
#include "mkfs/source.h"

namespace mkfs {

// `input` is the uncompressed archive and may be a FIFO; it is read to its end, also behind the archive's
// own end mark, so that its writer can finish. `name` is for messages. The root is an entry only if
// the archive has one; an entry whose hard_link_to is its own path repeats an earlier name.
Result<std::unique_ptr<Source>> make_tar_source(std::unique_ptr<ByteSource> input, std::string name);

}  // namespace mkfs
