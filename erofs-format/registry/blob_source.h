// A blob of a repository as a stream: ranges, some of them ahead of the reader, so that latency costs once.
#pragma once

#include <memory>

#include "erofs-format/base/stream.h"
#include "erofs-format/registry/repository_client.h"

namespace erofs_format::registry {

// From its byte `offset` on. `client` outlives it. Fails when the server's blob has another size. At most
// kPullAhead times kPullBytes are held.
std::unique_ptr<ByteSource> make_blob_source(RepositoryClient& client, const Digest& digest, uint64_t size,
                                             uint64_t offset);

}  // namespace erofs_format::registry
