// An image as one disk: the bootstrap, and every blob's cache image where the device table maps it. The
// kernel (6.4 and later) mounts it as it is.
#pragma once

#include <string>

#include "erofs-format/base/result.h"
#include "erofs-format/blob/blob_reader.h"

namespace mkfs {

using namespace erofs_format;

// Writes it into `fd`, an empty file, verifying each chunk; what no file of the image uses stays a hole.
// Returns the bytes of the whole disk. Code::unsupported when a blob is mapped nowhere (nydus-image before
// v2.3).
Result<uint64_t> write_flat_disk(const Tree& tree, ByteView bootstrap, BlobReader& blobs, int fd,
                                 const std::string& name);

}  // namespace mkfs
