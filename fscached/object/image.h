// What the daemon keeps of a bootstrap: for each blob its chunks; a file to prove the mount with.
// The tree itself is forgotten, the kernel has it.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/blob/chunk_table.h"
#include "erofs-format/bootstrap/tree.h"

namespace fscached {

using namespace erofs_format;

struct BlobUse {
  Blob blob;
  // From the bootstrap; a blob with batches brings its own (needs_chunk_table).
  ChunkTable table;
  std::vector<Digest> digests;  // by chunk index; zero = this image does not use it
  bool needs_chunk_table = false;
};

struct ImageDescription {
  std::vector<BlobUse> blobs;  // in device order
  uint64_t inodes = 0;
  uint64_t bytes = 0;  // of regular files
  // The file a canary reads; empty when the image has no data.
  std::string canary_path;  // relative to the root of the image
  uint32_t canary_blob = 0;
  uint32_t canary_chunk = 0;
};

// The blobs' names where they are not in the bootstrap but in the name of the file it was inside of;
// empty when the bootstrap says all.
Result<std::vector<std::string>> inlined_blob_names(const std::string& path, int descriptor,
                                                    uint64_t bootstrap_size);
// Validates the whole bootstrap first. `blob_names`: what inlined_blob_names() said.
Result<ImageDescription> describe_image(ByteView bootstrap, const std::string& name,
                                        const std::vector<std::string>& blob_names);

}  // namespace fscached
