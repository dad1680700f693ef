// One source becomes one blob and one bootstrap: the stages of a build, in order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "erofs-format/base/worker_pool.h"
#include "erofs-format/blob/blob_writer.h"
#include "mkfs/chunk_pipeline.h"
#include "mkfs/original.h"
#include "mkfs/source.h"
#include "mkfs/tree_builder.h"

namespace mkfs {

struct BuildOptions {
  ChunkOptions chunks;
  BlobWriterOptions blob;
  TreeOptions tree;
  bool explicit_uid_gid = true;       // false (`--repeatable`): owners are not stored
  std::string blob_id;                // empty = the blob's SHA-256
  std::vector<std::string> prefetch;  // patterns, see prefetch.h
  bool prefetch_table = true;         // the bootstrap names what they match
  bool keep_tree = false;             // the result has inodes and chunks, and no bootstrap
  // The source, where chunks.places says that chunks stay in it.
  std::shared_ptr<const Original> original;
};

struct BuildCounters {
  uint64_t files = 0;       // entries of the source
  uint64_t bytes_in = 0;    // content of regular files
  uint64_t chunks = 0;      // written to the blob
  uint64_t duplicates = 0;  // found in this build
  uint64_t bytes_out = 0;   // of the blob
};

struct BuildResult {
  Tree tree;              // blobs bear their final ids; without keep_tree no inodes and no chunks
  Buffer bootstrap;       // as inlined in the blob, or as the file to be; empty with keep_tree
  Digest blob_digest;     // SHA-256 of the blob as written
  std::string blob_id;    // what its file is called
  bool has_blob = false;  // something was written: chunks, or an inlined bootstrap
  BuildCounters counters;
};

// Reads `source` to its end and writes the blob to `blob_fd` (a file or a FIFO; never seeks). Several
// builds may run at once, each on its own thread, sharing `pool`. The bootstrap was read
// back and found sound when it returns.
Result<BuildResult> build_image(Source& source, const BuildOptions& options, WorkerPool& pool, int blob_fd,
                                const std::string& blob_name);

}  // namespace mkfs
