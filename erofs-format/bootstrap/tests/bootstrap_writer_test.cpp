#include "erofs-format/bootstrap/bootstrap_writer.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/bootstrap/tests/fixture.h"

using namespace erofs_format;
using erofs_format::testing::read_fixture;

namespace {

// Images of the reference builder without an inode of several xattrs: it stores those in the order of
// a hash table, ours are sorted.
const char* const kImages[] = {
    "layers/merged.boot",
    "chunk-dict/image.boot",
    "layers/bootstraps/70666177d0079322a56fd46b172bdd396daedd97d11ae6df253a3598d882e853",
    "layers/bootstraps/84d2fe09bffe5b8e1b5c3b7da62b02342d6d6454b435d46d6738aa436f2b7875",
    "layers/bootstraps/ec459a14e411d02001950d66fc71989135f019bb0af63b4f1ef9a75fd48b1f9f",
};

TEST_CASE("a tree read from an image of the reference builder is written with that builder's bytes") {
  for (const char* name : kImages) {
    CAPTURE(std::string(name));
    Buffer wanted = read_fixture(name);
    auto tree = read_bootstrap(wanted, name);
    REQUIRE_MESSAGE(tree, (tree ? "" : tree.error().message));
    auto taken = take_tree(wanted, name);
    REQUIRE_MESSAGE(taken, (taken ? "" : taken.error().message));
    auto from_taken = drain_to_bootstrap(*taken);
    REQUIRE_MESSAGE(from_taken, (from_taken ? "" : from_taken.error().message));
    CHECK(*from_taken == wanted);
    size_t blobs = tree->blobs.size();
    size_t inodes = tree->inodes.size();
    auto written = drain_to_bootstrap(*tree, Keep::inodes);
    REQUIRE_MESSAGE(written, (written ? "" : written.error().message));
    REQUIRE(written->size() == wanted.size());
    auto differ = std::mismatch(written->begin(), written->end(), wanted.begin());
    CHECK_MESSAGE(differ.first == written->end(), "first difference at byte ",
                  differ.second - wanted.begin());
    CHECK(tree->inodes.size() == inodes);
    CHECK(tree->chunks.capacity() == 0);
    auto chunks = take_chunks(*written, name);
    REQUIRE_MESSAGE(chunks, (chunks ? "" : chunks.error().message));
    tree->chunks = std::move(*chunks);
    auto drained = drain_to_bootstrap(*tree);
    REQUIRE_MESSAGE(drained, (drained ? "" : drained.error().message));
    CHECK(*drained == *written);
    CHECK(tree->inodes.capacity() == 0);
    CHECK(tree->chunks.capacity() == 0);
    CHECK(tree->blobs.size() == blobs);
  }
}

TEST_CASE("a file with fewer chunks than its size says is refused, not written") {
  auto tree = read_bootstrap(read_fixture(kImages[0]), kImages[0]);
  REQUIRE(tree);
  Inode* file = nullptr;
  for (auto& inode : tree->inodes)
    if (!inode.chunks.empty()) file = &inode;
  REQUIRE(file);
  file->chunks = {};
  CHECK(!drain_to_bootstrap(*tree));
}

}  // namespace
