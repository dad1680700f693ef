#include "mkfs/merge.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "erofs-format/ondisk/rafs.h"
#include "mkfs/layer_marks.h"

using namespace mkfs;

namespace {

// A layer in the making: paths in any order, one blob.
class LayerBuilder {
 public:
  explicit LayerBuilder(char id) {
    tree_.inodes.resize(1);
    tree_.inodes[0].mode = S_IFDIR | 0755;
    tree_.inodes[0].entries = std::make_unique<std::vector<DirEntry>>();
    Blob blob;
    blob.id = std::string(64, id);
    blob.features = ondisk::kBlobAligned | ondisk::kBlobInlinedFsMeta;
    tree_.blobs.push_back(blob);
  }
  LayerBuilder& directory(const std::string& path, uint16_t mode = 0755) {
    Inode inode;
    inode.mode = static_cast<uint16_t>(S_IFDIR | mode);
    inode.entries = std::make_unique<std::vector<DirEntry>>();
    add(path, std::move(inode));
    return *this;
  }
  // `content` stands for the chunk; equal text is an equal digest.
  LayerBuilder& file(const std::string& path, const std::string& content = "", uint32_t uid = 0) {
    Inode inode;
    inode.mode = S_IFREG | 0644;
    inode.uid = uid;
    inode.size = content.size();
    if (!content.empty()) inode.chunks.push_back(chunk(content));
    add(path, std::move(inode));
    return *this;
  }
  LayerBuilder& link(const std::string& path, const std::string& target) {
    insert(path, find(target));
    return *this;
  }
  Tree& tree() { return tree_; }
  MergeLayer take() { return {"layer " + tree_.blobs[0].id.substr(0, 1), std::move(tree_)}; }

 private:
  ChunkId chunk(const std::string& content) {
    Chunk chunk;
    chunk.digest = sha256(as_bytes(content));
    chunk.uncompressed_size = static_cast<uint32_t>(content.size());
    chunk.index = static_cast<uint32_t>(tree_.chunks.size());
    tree_.chunks.push_back(chunk);
    tree_.blobs[0].chunk_count++;
    return chunk.index;
  }
  InodeId find(const std::string& path) {
    InodeId at = kRootInode;
    for (size_t start = 0; start < path.size();) {
      size_t slash = std::min(path.find('/', start), path.size());
      std::string name = path.substr(start, slash - start);
      InodeId next = kNoInode;
      for (const auto& entry : *tree_.inodes[at].entries)
        if (entry.name == name) next = entry.inode;
      if (next == kNoInode) FAIL("no " << path);
      at = next;
      start = slash + 1;
    }
    return at;
  }
  void add(const std::string& path, Inode inode) {
    tree_.inodes.push_back(std::move(inode));
    insert(path, static_cast<InodeId>(tree_.inodes.size() - 1));
  }
  void insert(const std::string& path, InodeId id) {
    size_t slash = path.rfind('/');
    InodeId parent = slash == path.npos ? kRootInode : find(path.substr(0, slash));
    auto& entries = *tree_.inodes[parent].entries;
    DirEntry entry{slash == path.npos ? path : path.substr(slash + 1), id};
    entries.insert(std::upper_bound(entries.begin(), entries.end(), entry,
                                    [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; }),
                   entry);
  }
  Tree tree_;
};

void list(const Tree& tree, InodeId directory, const std::string& prefix, std::string& out) {
  for (const auto& entry : *tree.inodes[directory].entries) {
    out += prefix + entry.name + " ";
    if (tree.inodes[entry.inode].is_directory()) list(tree, entry.inode, prefix + entry.name + "/", out);
  }
}
std::string paths(const Tree& tree) {
  std::string out;
  list(tree, kRootInode, "", out);
  return out;
}
const Inode& at(const Tree& tree, const std::string& name) {
  for (const auto& entry : *tree.inodes[kRootInode].entries)
    if (entry.name == name) return tree.inodes[entry.inode];
  FAIL("no " << name);
  return tree.inodes[0];
}
const Chunk& chunk_of(const Tree& tree, const std::string& name) {
  return tree.chunks[at(tree, name).chunks[0]];
}

template <typename... Layers>
Result<Tree> merged(MergeOptions options, Layers&&... layers) {
  std::vector<MergeLayer> list;
  (list.push_back(layers.take()), ...);
  return merge_layers(std::move(list), options);
}

}  // namespace

TEST_CASE("whiteouts hide what lies below and nothing else") {
  LayerBuilder lower('1'), upper('2');
  lower.directory("d").file("d/a", "a").file("d/b", "b").file("gone", "g").file("kept", "k").file("wh", "w");
  upper.directory("d").file("d/.wh.a").file("d/c", "c").file(".wh.gone").file(".wh.absent").file(".wh.");
  auto tree = merged({}, lower, upper);
  REQUIRE(tree);
  CHECK(paths(*tree) == "d d/b d/c kept wh ");
}

TEST_CASE("an opaque directory shows the upper layer alone, whatever the order of names") {
  LayerBuilder lower('1'), upper('2');
  lower.directory("d").directory("d/s").file("d/s/x").file("d/a").file("d/z");
  upper.directory("d").file("d/.wh..wh..opq").file("d/-first").directory("d/s").file("d/s/y");
  auto tree = merged({}, lower, upper);
  REQUIRE(tree);
  CHECK(paths(*tree) == "d d/-first d/s d/s/y ");
}

TEST_CASE("a whiteout and a new entry of one name leave the new one") {
  LayerBuilder lower('1'), upper('2');
  lower.directory("d").file("d/old");
  upper.file(".wh.d").directory("d").file("d/new");
  auto tree = merged({}, lower, upper);
  REQUIRE(tree);
  CHECK(paths(*tree) == "d d/new ");
}

TEST_CASE("types change: file to directory, directory to file") {
  LayerBuilder lower('1'), upper('2');
  lower.directory("a").file("a/x").file("b");
  upper.file("a").directory("b").file("b/y").file("b/.wh.none");
  auto tree = merged({}, lower, upper);
  REQUIRE(tree);
  CHECK(paths(*tree) == "a b b/y ");
  CHECK(at(*tree, "a").is_regular());
}

TEST_CASE("attributes of a directory come from the uppermost layer that has it") {
  LayerBuilder lower('1'), middle('2'), upper('3');
  lower.directory("d", 0700).file("d/x");
  middle.directory("d", 0711).file("d/y");
  upper.file("z");
  auto tree = merged({}, lower, middle, upper);
  REQUIRE(tree);
  CHECK(at(*tree, "d").mode == (S_IFDIR | 0711));
  CHECK(paths(*tree) == "d d/x d/y z ");
}

TEST_CASE("a directory only implied by its content takes the attributes below") {
  LayerBuilder lower('1'), middle('2'), upper('3');
  lower.directory("d", 01777).file("d/x");
  lower.tree().inodes[0].mode = S_IFDIR | 0700;
  middle.directory("d").file("d/y");
  upper.directory("d").file("d/z").directory("e");
  for (auto* layer : {&middle, &upper})
    for (Inode& inode : layer->tree().inodes) inode.implied = inode.is_directory();
  auto tree = merged({.guess_implied = false}, lower, middle, upper);
  REQUIRE(tree);
  CHECK(paths(*tree) == "d d/x d/y d/z e ");
  CHECK(at(*tree, "d").mode == (S_IFDIR | 01777));
  CHECK(tree->inodes[0].mode == (S_IFDIR | 0700));
}

TEST_CASE("a directory marked as implied loses the mark and takes the attributes below") {
  LayerBuilder lower('1'), upper('2');
  lower.directory("d", 0700).file("d/x");
  upper.directory("d").file("d/y");
  for (Inode& inode : upper.tree().inodes)
    if (inode.is_directory()) inode.xattrs = std::make_unique<Xattrs>(Xattrs{{kImplied, "y"}});
  auto tree = merged({.guess_implied = false}, lower, upper);
  REQUIRE(tree);
  for (const Inode& inode : tree->inodes) CHECK_FALSE(inode.xattrs);
  CHECK(at(*tree, "d").mode == (S_IFDIR | 0700));
}

TEST_CASE("made-up attributes are taken for implied only when asked to guess") {
  for (bool guess : {false, true}) {
    LayerBuilder lower('1'), upper('2');
    lower.directory("d", 01777).directory("t", 0700);
    upper.directory("d").directory("t");
    upper.tree().inodes[2].mtime = 1;
    auto tree = merged({.guess_implied = guess}, lower, upper);
    REQUIRE(tree);
    CHECK(at(*tree, "d").mode == (S_IFDIR | (guess ? 01777 : 0755)));
    CHECK(at(*tree, "t").mode == (S_IFDIR | 0755));
  }
}

TEST_CASE("whiteouts of the lowest layer: kept for merge, gone for a converted image") {
  LayerBuilder a('1'), b('1');
  a.file(".wh.x").directory("d").file("d/.wh..wh..opq");
  b.file(".wh.x").directory("d").file("d/.wh..wh..opq");
  auto kept = merged({.keep_lowest_whiteouts = true}, a);
  auto gone = merged({.keep_lowest_whiteouts = false}, b);
  REQUIRE(kept);
  REQUIRE(gone);
  CHECK(paths(*kept) == ".wh.x d d/.wh..wh..opq ");
  CHECK(paths(*gone) == "d ");
}

TEST_CASE("hard links hold within their layer") {
  LayerBuilder lower('1'), upper('2');
  lower.file("a", "1").link("b", "a").link("c", "a");
  upper.file("a", "2").link("d", "a").file(".wh.c");
  auto tree = merged({}, lower, upper);
  REQUIRE(tree);
  CHECK(paths(*tree) == "a b d ");
  CHECK(&at(*tree, "a") == &at(*tree, "d"));
  CHECK(at(*tree, "a").nlink == 2);
  CHECK(at(*tree, "b").nlink == 1);
}

TEST_CASE("equal chunks of several layers are the lowest layer's") {
  LayerBuilder one('1'), two('2'), three('3');
  one.file("a", "same").file("only", "1");
  two.file("b", "same").file("c", "other");
  three.file("d", "same").file("e", "other").file("f", "3");
  auto tree = merged({}, one, two, three);
  REQUIRE(tree);
  CHECK(at(*tree, "a").chunks == at(*tree, "b").chunks);
  CHECK(at(*tree, "a").chunks == at(*tree, "d").chunks);
  CHECK(at(*tree, "c").chunks == at(*tree, "e").chunks);
  CHECK(tree->blobs[chunk_of(*tree, "d").blob_index].id == std::string(64, '1'));
  CHECK(tree->blobs[chunk_of(*tree, "e").blob_index].id == std::string(64, '2'));
  CHECK(tree->chunks.size() == 4);
}

TEST_CASE("a file copied up shares the chunk of the layer that it hides") {
  LayerBuilder lower('1'), upper('2');
  lower.file("a", "same");
  upper.file("a", "same", 7);
  auto tree = merged({}, lower, upper);
  REQUIRE(tree);
  CHECK(at(*tree, "a").uid == 7);
  REQUIRE(tree->blobs.size() == 1);
  CHECK(tree->blobs[0].id == std::string(64, '1'));
}

TEST_CASE("chunks are one only with equal digest, size and digester") {
  LayerBuilder lower('1'), size('2'), digester('3');
  lower.file("a", "same");
  size.file("b", "same");
  size.tree().chunks[0].uncompressed_size++;
  digester.file("c", "same");
  digester.tree().blobs[0].digester = Digester::sha256;
  auto tree = merged({}, lower, size, digester);
  REQUIRE(tree);
  CHECK(tree->chunks.size() == 3);
}

TEST_CASE("blobs nobody uses are dropped, the others numbered by first use") {
  LayerBuilder one('1'), two('2'), three('3');
  one.file("z", "1");
  two.file("y", "2");
  three.file(".wh.y").file("a", "3");
  auto tree = merged({}, one, two, three);
  REQUIRE(tree);
  REQUIRE(tree->blobs.size() == 2);
  CHECK(tree->blobs[0].id == std::string(64, '3'));
  CHECK(tree->blobs[1].id == std::string(64, '1'));
  CHECK(!tree->blobs[0].has(ondisk::kBlobInlinedFsMeta));
  CHECK(chunk_of(*tree, "a").blob_index == 0);
}

TEST_CASE("the same layer twice is one blob; a blob of two descriptions is refused") {
  LayerBuilder one('1'), again('1');
  one.file("a", "1");
  again.file("b", "1");
  auto tree = merged({}, one, again);
  REQUIRE(tree);
  CHECK(tree->blobs.size() == 1);
  LayerBuilder good('1'), bad('1');
  good.file("a", "1");
  bad.file("b", "1").file("c", "2");
  auto error = merged({}, good, bad);
  REQUIRE(!error);
  CHECK(error.error().message ==
        "layer 1: blob " + std::string(64, '1') + " is not described as by the layers below");
}

TEST_CASE("layers that cannot be one file system end with status 2") {
  LayerBuilder one('1'), two('2');
  two.tree().chunk_size = 0x10000;
  auto error = merged({}, one, two);
  REQUIRE(!error);
  CHECK(error.error().exit_code == 2);
  CHECK(error.error().message ==
        "Inconsistent RAFS Filesystem: layer 2: chunk size 0x10000, layer 1 has 0x100000");
  LayerBuilder three('3'), four('4');
  four.tree().explicit_uid_gid = false;
  CHECK(merged({}, three, four).error().exit_code == 2);
  CHECK(!merge_layers({}, {}));
}

TEST_CASE("deep directories merge without recursion") {
  LayerBuilder lower('1'), upper('2');
  std::string path = "d";
  for (int i = 0; i < 1000; i++) {
    lower.directory(path);
    upper.directory(path);
    path += "/d";
  }
  lower.file(path, "x");
  upper.file(path.substr(0, path.size() - 1) + "e", "y");
  auto tree = merged({}, lower, upper);
  REQUIRE(tree);
  CHECK(tree->inodes.size() == 1003);
}

TEST_CASE("the id of a layer's own blob") {
  auto id_of = [](const std::string& path, const OwnBlob& own,
                  uint32_t features = ondisk::kBlobInlinedFsMeta) {
    LayerBuilder layer('x');
    layer.tree().blobs[0].features = features;
    auto fixed = fix_own_blob(layer.tree(), path, own, {});
    return fixed ? layer.tree().blobs[0].id : fixed.error().message;
  };
  std::string a(64, 'a'), b(64, 'b');
  Digest digest = *digest_from_hex(std::string(64, 'c'));
  CHECK(id_of("/p/" + a, {}) == a);
  CHECK(id_of("/p/" + a + ".boot.x", {}) == a);
  CHECK(id_of("/p/" + a, {.original_id = b}) == b);
  CHECK(id_of("/p/" + a, {.blob_digest = digest, .original_id = b}) == std::string(64, 'c'));
  CHECK(id_of("/p/" + a, {.blob_digest = digest, .original_id = b}, ondisk::kBlobSeparate) == b);
  CHECK(id_of("l1", {}).starts_with("l1: the id of its blob is unknown"));
  CHECK(id_of("l1", {.original_id = "zz"}) == "l1: blob id 'zz' is not 64 hex digits");
}

TEST_CASE("several own blobs need a dictionary") {
  LayerBuilder layer('1');
  Blob second;
  second.id = std::string(64, '2');
  layer.tree().blobs.push_back(second);
  OwnBlob own{.original_id = std::string(64, '3'), .size = 77};
  CHECK(!fix_own_blob(layer.tree(), "p", own, {}));
  REQUIRE(fix_own_blob(layer.tree(), "p", own, {std::string(64, '2')}));
  CHECK(layer.tree().blobs[0].id == std::string(64, '3'));
  CHECK(layer.tree().blobs[0].compressed_size == 77);
  CHECK(layer.tree().blobs[1].id == std::string(64, '2'));
}
