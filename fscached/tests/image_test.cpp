// What the daemon takes from a bootstrap, and how much memory a bootstrap can make it take.
#include "fscached/object/image.h"

#include <doctest/doctest.h>

#include "erofs-format/bootstrap/bootstrap_writer.h"
#include "erofs-format/ondisk/blob.h"
#include "erofs-format/ondisk/rafs.h"
#include "fscached/limits.h"

using namespace fscached;

namespace {

constexpr uint32_t kBytes = 5000;

// A dictionary's blob of `chunk_count` chunks, of which the image uses the last.
Tree image_with_last_chunk(uint32_t chunk_count) {
  Tree tree;
  tree.inodes.resize(2);
  Inode& root = tree.inodes[kRootInode];
  root.mode = S_IFDIR | 0755;
  root.nlink = 2;
  root.parent = kRootInode;
  root.entries = std::make_unique<std::vector<DirEntry>>();
  root.entries->push_back({"file", 1});
  tree.inodes[1].mode = S_IFREG | 0644;
  tree.inodes[1].size = kBytes;
  tree.inodes[1].chunks = {0};
  Chunk chunk;
  chunk.digest = sha256(as_bytes("any"));
  chunk.index = chunk_count - 1;
  chunk.flags = ondisk::kChunkCompressed;
  chunk.compressed_size = 100;
  chunk.uncompressed_size = kBytes;
  chunk.uncompressed_offset = (chunk_count - 1) * uint64_t{8192};
  tree.chunks.push_back(chunk);
  Blob blob;
  blob.id = std::string(64, 'a');
  blob.chunk_size = tree.chunk_size;
  blob.chunk_count = chunk_count;
  blob.compressor = Compressor::zstd;
  blob.features = ondisk::kBlobAligned;
  blob.compressed_size = 4096;
  blob.uncompressed_size = chunk_count * uint64_t{8192};
  blob.ci_uncompressed_size = uint64_t{chunk_count} * sizeof(ondisk::chunk_info_v1);
  blob.ci_compressed_size = 100;
  blob.ci_offset = 3000;
  tree.blobs.push_back(blob);
  return tree;
}

Result<ImageDescription> describe(Tree tree) {
  TRY_ASSIGN(Buffer bytes, drain_to_bootstrap(tree));
  return describe_image(bytes, "image.boot", {});
}

}  // namespace

TEST_CASE("image: a chunk far inside a dictionary keeps its place") {
  auto image = describe(image_with_last_chunk(1000));
  INFO((image ? "" : image.error().message));
  REQUIRE(image);
  REQUIRE(image->blobs.size() == 1);
  CHECK(image->blobs[0].table.chunks.size() == 1000);
  CHECK(image->blobs[0].digests.size() == 1000);
  CHECK(image->blobs[0].table.chunks[999].uncompressed_size == kBytes);
  CHECK(image->canary_path == "file");
  CHECK(image->canary_chunk == 999);
}

TEST_CASE("image: a small bootstrap cannot make the tables large") {
  CHECK(describe(image_with_last_chunk(kMaxUnusedChunks + 1)));
  auto image = describe(image_with_last_chunk(kMaxUnusedChunks + 2));
  REQUIRE_FALSE(image);
  INFO(image.error().message);
  CHECK(image.error().code == Code::too_large);
  CHECK(image.error().message.find("image.boot") != std::string::npos);
}

TEST_CASE("image: the limit is about all blobs of an image together") {
  Tree tree = image_with_last_chunk(kMaxUnusedChunks);
  tree.blobs.push_back(tree.blobs[0]);
  tree.blobs[1].id = std::string(64, 'b');
  tree.chunks.push_back(tree.chunks[0]);
  tree.chunks[1].blob_index = 1;
  tree.inodes[1].size = tree.chunk_size + kBytes;
  tree.inodes[1].chunks = {0, 1};
  tree.chunks[0].uncompressed_size = tree.chunk_size;
  tree.chunks[0].uncompressed_offset = 0;
  auto image = describe(std::move(tree));
  REQUIRE_FALSE(image);
  INFO(image.error().message);
  CHECK(image.error().code == Code::too_large);
}
