// The last layer of a Nydus image: a gzipped tar with the bootstrap and the chunk
// information of each blob (nydus-rafs-v6.md 3.1). The same files give the same bytes.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/digest.h"
#include "erofs-format/base/result.h"
#include "erofs-format/bootstrap/tree.h"

namespace erofs_format {

struct LayerFile {
  std::string name;  // below `image/`, at most 90 bytes
  Buffer bytes;
};

struct BootstrapLayer {
  Buffer gzip;
  Digest diff_id;  // SHA-256 of the tar inside
};
Result<BootstrapLayer> make_bootstrap_layer(const std::vector<LayerFile>& files);

// Chunk information of a finished blob in the form nydusd keeps beside its cache: uncompressed, padded to
// 4096 bytes, then the header. `name` is for messages.
Result<Buffer> cached_chunk_table(const Blob& blob, int blob_fd, const std::string& name);

}  // namespace erofs_format
