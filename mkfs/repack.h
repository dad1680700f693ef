// Chunks of an image's blobs, copied into a blob of their own.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/base/worker_pool.h"
#include "erofs-format/blob/blob_reader.h"
#include "mkfs/chunk_pipeline.h"

namespace mkfs {

// Writes the chunks, in that order, each content once, to `fd` (an empty file or FIFO) as a new blob,
// appended to the tree's blobs with the id it has by its SHA-256; `features` are added to its own. From then
// on every chunk of the tree with such a content is the new blob's. drop_unused() then is due, and `blobs` of
// no more use. `chunks` must not be empty.
Result<void> repack_chunks(Tree& tree, BlobReader& blobs, const std::vector<ChunkId>& chunks,
                           const ChunkOptions& options, uint32_t features, WorkerPool& pool, int fd,
                           const std::string& name);

// Equal entries of the chunk table become one, and blobs without a chunk are dropped; the others keep their
// order.
void drop_unused(Tree& tree);

}  // namespace mkfs
