#include "erofs-format/bootstrap/bootstrap_reader.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>

#include "erofs-format/bootstrap/dump.h"
#include "erofs-format/bootstrap/tests/fixture.h"
#include "erofs-format/ondisk/rafs.h"

using namespace erofs_format;
using erofs_format::testing::read_fixture;

namespace {

constexpr char kToc[] = "v2.2-toc/image.boot";
constexpr char kMerged[] = "layers/merged.boot";

const char* const kSeeds[] = {
    kToc,
    kMerged,
    "chunk-dict/image.boot",
    "layers/bootstraps/70666177d0079322a56fd46b172bdd396daedd97d11ae6df253a3598d882e853",
    "layers/bootstraps/84d2fe09bffe5b8e1b5c3b7da62b02342d6d6454b435d46d6738aa436f2b7875",
    "layers/bootstraps/ec459a14e411d02001950d66fc71989135f019bb0af63b4f1ef9a75fd48b1f9f",
};

// Places in merged.boot.
constexpr size_t kSuper = 1024, kExt = 1152, kSlot = 1408, kBlob = 4096, kChunks = 16384;
constexpr size_t kRoot = 12288, kRootEntries = 12352, kBash = 13088, kLib = 12768, kNull = 13312;
constexpr size_t kReplaced = 12864, kReplacedXattrs = kReplaced + 64;
constexpr size_t kBashIndex = kBash + 64;

struct Damage {
  const char* what;
  size_t offset;
  std::vector<uint8_t> bytes;
  const char* expected;  // in the message
};

// One row for each way to break a field (erofs.md 15, nydus-rafs-v6.md 1).
const Damage kDamages[] = {
    {"magic", kSuper, {0}, "magic"},
    {"checksum", kSuper + 4, {1}, "checksum"},
    {"checksum announced", kSuper + 8, {1}, "feature_compat"},
    {"no RAFS mark", kSuper + 11, {0}, "feature_compat"},
    {"block bits 8", kSuper + 12, {8}, "blkszbits"},
    {"block bits 13", kSuper + 12, {13}, "blkszbits"},
    {"superblock extension", kSuper + 13, {200}, "sb_extslots"},
    {"root outside", kSuper + 14, {0xff, 0xff}, "nid 65535"},
    {"root is a file", kSuper + 14, {153, 0}, "root_nid"},
    {"root is nothing", kSuper + 14, {0, 0}, "inode"},
    {"inos 0", kSuper + 16, {0}, "inos is 0"},
    {"inos wrong", kSuper + 16, {22}, "inos is 22"},
    {"time", kSuper + 32, {0, 0xca, 0x9a, 0x3b}, "build_time_nsec"},
    {"metadata outside", kSuper + 40, {6}, "meta_blkaddr"},
    {"shared xattrs", kSuper + 44, {1}, "xattr_blkaddr"},
    {"label", kSuper + 79, {'x'}, "volume_name"},
    {"unknown incompat bit", kSuper + 81, {4}, "feature_incompat"},
    {"no device table", kSuper + 80, {4}, "feature_incompat"},
    {"compression", kSuper + 84, {1}, "available_compr_algs"},
    {"fewer devices", kSuper + 86, {1}, "blob_table_size"},
    {"too many devices", kSuper + 86, {255}, "extra_devices"},
    {"slot offset", kSuper + 88, {12}, "devt_slotoff"},
    {"directory blocks", kSuper + 90, {1}, "dirblkbits"},
    {"xattr prefixes", kSuper + 91, {1}, "xattr_prefix_count"},
    {"packed inode", kSuper + 103, {0x80}, "packed_nid"},
    {"two compressors", kExt, {0x95}, "flags"},
    {"no digester", kExt, {0xb0}, "flags"},
    {"unknown flag", kExt + 5, {1}, "flags"},
    {"blob table unaligned", kExt + 8, {8}, "blob_table_offset"},
    {"blob table outside", kExt + 8, {0, 0, 1}, "blob table"},
    {"blob table size", kExt + 16, {1}, "blob_table_size"},
    {"chunk size", kExt + 20, {1}, "chunk_size"},
    {"chunk table outside", kExt + 25, {0x60}, "chunk table"},
    {"chunk table over the root", kExt + 25, {0x30}, "chunk table"},
    {"chunk table size", kExt + 32, {1}, "chunk_table_size"},
    {"prefetch table unaligned", kExt + 40, {4}, "prefetch_table_offset"},
    {"prefetch table size", kExt + 48, {3}, "prefetch_table_size"},
    {"prefetch of nothing", 4608, {129}, "prefetch table"},
    {"tag", kSlot, {'8'}, "tag"},
    {"slot blocks", kSlot + 64, {92}, "blocks"},
    {"mapped over the bootstrap", kSlot + 68, {1}, "mapped_blkaddr"},
    {"mapped over each other", kSlot + 128 + 68, {129, 0}, "mapped_blkaddr"},
    {"blob id leaves the folder", kBlob, {'.'}, "blob_id"},
    {"blob id with a slash", kBlob + 5, {'/'}, "blob_id"},
    {"blob index", kBlob + 64, {1}, "blob_index"},
    {"blob chunk size", kBlob + 69, {1}, "chunk_size"},
    {"no chunks", kBlob + 72, {0}, "chunk_count"},
    {"many chunks", kBlob + 74, {1}, "chunk_count"},
    {"compressor", kBlob + 76, {4}, "compressor"},
    {"digester", kBlob + 80, {2}, "digester"},
    {"unknown feature", kBlob + 85, {0x10}, "features"},
    {"batch without v2", kBlob + 84, {0xa1}, "features"},
    {"unaligned chunks", kBlob + 84, {0x20}, "features"},
    {"RAFS v5", kBlob + 87, {0xf0}, "features"},
    {"compressed size", kBlob + 94, {2}, "compressed_size"},
    {"uncompressed size", kBlob + 96, {1}, "uncompressed_size"},
    {"information compressor", kBlob + 108, {9}, "ci_compressor"},
    {"information offset", kBlob + 118, {1}, "ci_offset"},
    {"information offset wraps", kBlob + 112, {255, 255, 255, 255, 255, 255, 255, 255}, "ci_offset"},
    {"information size", kBlob + 128, {97}, "ci_uncompressed_size"},
    {"information compressed size", kBlob + 120, {97}, "ci_compressed_size"},
    {"cipher without encryption", kBlob + 216, {1}, "cipher_algo"},
    {"chunk of no blob", kChunks + 32, {2}, "blob_index"},
    {"chunk flags", kChunks + 36, {0x40}, "flags"},
    {"chunk hole", kChunks + 36, {3}, "flags"},
    {"chunk compressed size", kChunks + 42, {0xff}, "compressed range"},
    {"chunk size 0", kChunks + 44, {0, 0, 0}, "uncompressed_size"},
    {"chunk larger than chunk_size", kChunks + 46, {0x11}, "uncompressed_size"},
    {"chunk offset in blob", kChunks + 52, {1}, "compressed range"},
    {"chunk offset in image", kChunks + 56, {1}, "uncompressed_offset"},
    {"chunk outside the image", kChunks + 59, {1}, "uncompressed range"},
    {"chunk number", kChunks + 72, {200}, "index"},
    {"chunk number twice", kChunks + 72, {1}, "chunk table"},
    {"inode format bit 4", kRoot, {0x15}, "i_format"},
    {"inode layout 5", kBash, {0x0b}, "i_format"},
    {"inode compressed", kBash, {3}, "i_format"},
    {"directory made of chunks", kRoot, {9}, "i_format"},
    {"file inline", kBash, {5}, "i_format"},
    {"xattr count 1", kReplaced + 2, {1}, "i_xattr_icount"},
    {"xattr count outside", kReplaced + 2, {0xff, 0xff}, "i_xattr_icount"},
    {"mode", kBash + 5, {0x31}, "i_mode"},
    {"address of 48 bits", kBash + 6, {1}, "i_nb"},
    {"negative size", kBash + 15, {0x80}, "i_size"},
    {"file longer than the image", kBash + 12, {1}, "i_size"},
    {"chunks for the size", kBash + 8, {0x71}, "chunk has 70000 bytes"},
    {"chunk format", kBash + 16, {0xa8}, "chunk format"},
    {"chunk format 48 bits", kBash + 16, {0x68}, "chunk format"},
    {"block map", kBash + 16, {0x08}, "block map"},
    {"small chunks", kBash + 16, {0x20}, "chunk format"},
    {"nanoseconds", kBash + 40, {0, 0xca, 0x9a, 0x3b}, "i_mtime_nsec"},
    {"links 0", kBash + 44, {0}, "i_nlink"},
    {"links of a directory", kRoot + 44, {7}, "i_nlink"},
    {"device 0", kBashIndex + 2, {0}, "device id"},
    {"device past the slots", kBashIndex + 2, {3}, "device id"},
    {"device past the mask", kBashIndex + 2, {5}, "device id"},
    {"chunk not in the table", kBashIndex, {77}, "chunk table"},
    {"block address", kBashIndex + 4, {99}, "block address"},
    {"hole", kBashIndex + 4, {255, 255, 255, 255}, "block address"},
    {"symlink empty", kLib + 8, {0}, "i_size"},
    {"symlink too long", kLib + 9, {0x10}, "i_size"},
    {"symlink across blocks", kLib + 9, {0x0e}, "crosses"},
    {"symlink with a NUL", kLib + 64 + 2, {0}, "NUL"},
    {"device with data", kNull + 8, {1}, "i_size"},
    {"directory size 0", kRoot + 8, {0}, "i_size"},
    {"directory negative size", kRoot + 15, {0x80}, "i_size"},
    {"directory without tail", kRoot + 8, {0, 16}, "i_size"},
    {"first nameoff 0", kRootEntries + 8, {0}, "nameoff"},
    {"first nameoff 8", kRootEntries + 8, {8}, "nameoff"},
    {"first nameoff 13", kRootEntries + 8, {13}, "nameoff"},
    {"first nameoff 4096", kRootEntries + 8, {0, 16}, "nameoff"},
    {"nameoff decreasing", kRootEntries + 24 + 8, {144}, "nameoff"},
    {"nameoff past the end", kRootEntries + 11 * 12 + 8, {0xff}, "nameoff"},
    {"names out of order", 12502, {'a'}, "not after"},
    {"slash in a name", 12503, {'/'}, "name"},
    {"NUL in a name", 12503, {0}, "name"},
    {"file type 9", kRootEntries + 24 + 10, {9}, "file_type"},
    {"file type wrong", kRootEntries + 24 + 10, {1}, "file_type"},
    {"child is the directory", kRootEntries + 24, {128}, "has a name already"},
    {"child outside", kRootEntries + 24 + 3, {1}, "lies outside"},
    {"metabox nid", kRootEntries + 24 + 7, {0x80}, "lies outside"},
    {"child inside another inode", kRootEntries + 24, {150}, "byte"},
    {"dot wrong", kRootEntries, {129}, "nid of \".\""},
    {"dot dot wrong", kRootEntries + 12, {149}, "nid of \"..\""},
    {"dot missing", 12496, {0x2d}, "has a name already"},
    {"xattr shared", kReplacedXattrs + 4, {1}, "h_shared_count"},
    {"xattr name past the body", kReplacedXattrs + 12, {0xff}, "past the body"},
    {"xattr index 0", kReplacedXattrs + 13, {0}, "e_name_index"},
    {"xattr index 5", kReplacedXattrs + 13, {5}, "e_name_index"},
    {"xattr long prefix", kReplacedXattrs + 13, {0x81}, "e_name_index"},
    {"xattr ACL with a suffix", kReplacedXattrs + 13, {2}, "e_name_len"},
    {"xattr value past the body", kReplacedXattrs + 14, {9}, "past the body"},
};

// With a tree and without one, the same is found.
Result<Tree> read_both_ways(ByteView image, const std::string& name) {
  auto tree = read_bootstrap(image, name);
  auto checked = check_bootstrap(image, name);
  REQUIRE(static_cast<bool>(checked) == static_cast<bool>(tree));
  if (!tree) REQUIRE(checked.error().message == tree.error().message);
  return tree;
}

void expect_corrupt(const Buffer& image, const std::string& expected) {
  auto tree = read_both_ways(image, "image");
  REQUIRE_FALSE(tree);
  CHECK(tree.error().code == Code::corrupt);
  INFO(tree.error().message);
  CHECK(tree.error().message.find(expected) != std::string::npos);
  CHECK(tree.error().message.starts_with("image: byte "));
}

std::string dump(const Tree& tree) {
  std::string text;
  auto done = dump_tree(tree, nullptr, [&](std::string_view line) -> Result<void> {
    text.append(line).append("\n");
    return {};
  });
  REQUIRE(done);
  return text;
}

// A published tree must be safe to use: what the types promise holds.
void expect_sound(const Tree& tree) {
  for (const Inode& inode : tree.inodes) {
    REQUIRE(inode.is_directory() == (inode.entries != nullptr));
    REQUIRE(inode.chunks.size() == (inode.is_regular() ? div_up(inode.size, tree.chunk_size) : 0));
    for (ChunkId id : inode.chunks) REQUIRE(id < tree.chunks.size());
    if (!inode.entries) continue;
    for (const DirEntry& entry : *inode.entries) REQUIRE(entry.inode < tree.inodes.size());
  }
  for (const Chunk& chunk : tree.chunks) REQUIRE(chunk.blob_index < tree.blobs.size());
}

void try_image(const Buffer& image, size_t& accepted) {
  auto tree = read_both_ways(image, "mutant");
  if (!tree) {
    CHECK((tree.error().code == Code::corrupt || tree.error().code == Code::unsupported));
    return;
  }
  accepted++;
  expect_sound(*tree);
  CHECK_FALSE(dump(*tree).empty());
}

}  // namespace

TEST_CASE("bootstrap: the golden vectors of a v2.2 image") {
  auto tree = read_bootstrap(read_fixture(kToc), "toc");
  REQUIRE(tree);
  REQUIRE(tree->inodes.size() == 3);
  CHECK(tree->nids == std::vector<uint64_t>{128, 133, 136});
  CHECK(tree->flags == 0x194);
  CHECK(tree->chunk_size == 1 << 20);
  const Inode& root = tree->inodes[kRootInode];
  CHECK(root.mode == 040755);
  CHECK(root.nlink == 2);
  REQUIRE(root.entries->size() == 2);
  CHECK((*root.entries)[0].name == "lib.rs");
  CHECK((*root.entries)[1].name == "sync_io.rs");
  const Inode& lib = tree->inodes[(*root.entries)[0].inode];
  CHECK(lib.mode == 0100644);
  CHECK(lib.size == 16931);
  REQUIRE(lib.chunks.size() == 1);
  const Chunk& chunk = tree->chunks[lib.chunks[0]];
  CHECK(chunk.index == 0);
  CHECK(to_hex(chunk.digest) == "f7e2735f1c6ae9cde91e537416b09d8bb71b306a421d19cc1012a51f93a7fe69");
  CHECK(chunk.compressed_offset == 0);
  CHECK(chunk.compressed_size == 4828);
  REQUIRE(tree->blobs.size() == 1);
  const Blob& blob = tree->blobs[0];
  CHECK(blob.id == "be7d77eeb719f70884758d1aa800ed0fb09d701aaec469964e9d54325f0d5fef");
  CHECK(blob.chunk_count == 2);
  CHECK(blob.compressor == Compressor::zstd);
  CHECK(blob.features == 0x70000021);
  CHECK(blob.compressed_size == 14554);
  CHECK(blob.uncompressed_size == 36864);
  CHECK(blob.toc_size == 1024);
  CHECK(blob.ci_offset == 8314);
  CHECK(to_hex(blob.toc_digest) == "cfc89ed0739aef4eb1bf0904f0dfdb1c857134eca7319465baae95a99b84acde");
}

TEST_CASE("bootstrap: prefetch table, xattrs, symlinks and devices of a merged image") {
  auto tree = read_bootstrap(read_fixture(kMerged), "merged");
  REQUIRE(tree);
  CHECK(tree->prefetch == std::vector<InodeId>{kRootInode});
  std::string text = dump(*tree);
  CHECK(text.find(R"("/replaced", "type": "reg", "mode": "0644", "uid": 3)") != std::string::npos);
  CHECK(text.find(R"("xattrs": {"user.k": "76"})") != std::string::npos);
  CHECK(text.find(R"("target": "../etc")") != std::string::npos);
  CHECK(text.find(R"("rdev": "1:3")") != std::string::npos);
  CHECK(text.find(R"("same": "/bin/bash")") != std::string::npos);
}

TEST_CASE("bootstrap: each damaged field is named") {
  const Buffer sound = read_fixture(kMerged);
  REQUIRE(read_bootstrap(sound, "image"));
  for (const Damage& damage : kDamages) {
    INFO(std::string(damage.what));
    Buffer image = sound;
    std::copy(damage.bytes.begin(), damage.bytes.end(), image.begin() + static_cast<long>(damage.offset));
    REQUIRE(image != sound);
    // The id in the blob table is compared with the tag: damage both alike.
    if (damage.offset >= kBlob && damage.offset < kBlob + 64)
      std::copy(damage.bytes.begin(), damage.bytes.end(),
                image.begin() + static_cast<long>(damage.offset - kBlob + kSlot));
    expect_corrupt(image, damage.expected);
  }
}

TEST_CASE("bootstrap: two blobs of one name") {
  Buffer image = read_fixture(kMerged);
  std::copy_n(image.begin() + kSlot, 64, image.begin() + kSlot + 128);
  std::copy_n(image.begin() + kBlob, 64, image.begin() + kBlob + 256);
  expect_corrupt(image, "tag is used twice");
}

TEST_CASE("bootstrap: every truncation is refused") {
  for (const char* seed : kSeeds) {
    CAPTURE(seed);
    const Buffer whole = read_fixture(seed);
    for (size_t size = 0; size < whole.size(); size += size % 4096 == 0 ? 1 : 4095) {
      auto tree = read_bootstrap(ByteView(whole).first(size), "image");
      REQUIRE_FALSE(tree);
    }
  }
}

TEST_CASE("bootstrap: features not read yet are named") {
  Buffer external = read_fixture(kMerged);
  external[kBlob + 85] |= 0x08;
  auto tree = read_bootstrap(external, "image");
  REQUIRE_FALSE(tree);
  CHECK(tree.error().code == Code::unsupported);
  CHECK(tree.error().message.find("not supported yet: external blobs") != std::string::npos);
}

TEST_CASE("bootstrap: what a tar's kind of image needs is there as a whole") {
  auto expect = [](const Buffer& image, const char* text) {
    auto tree = read_bootstrap(image, "image");
    REQUIRE_FALSE(tree);
    INFO(tree.error().message);
    CHECK(tree.error().code == Code::corrupt);
    CHECK(tree.error().message.find(text) != std::string::npos);
  };
  Buffer small_blocks = read_fixture(kMerged);
  small_blocks[kSuper + 12] = 9;
  expect(small_blocks, "flags and blkszbits do not agree on tarfs");
  Buffer tarfs_blob = read_fixture(kMerged);
  tarfs_blob[kBlob + 84] |= 0x40;
  expect(tarfs_blob, "features do not agree with the superblock on tarfs");
  Buffer zran = read_fixture(kMerged);
  zran[kBlob + 84] = 0x2d;  // with chunk information v2, but not separate
  expect(zran, "the chunk information would be in the gzip stream");
}

TEST_CASE("bootstrap: what is odd but harmless is a note") {
  Buffer image = read_fixture(kMerged);
  std::vector<std::string> notes;
  REQUIRE(read_bootstrap(image, "image", &notes));
  CHECK(notes.empty());
  image[kSuper + 120] = 1;       // reserved in the superblock
  image[kExt + 100] = 1;         // reserved in the extended superblock
  image[kSlot + 100] = 1;        // reserved in a device slot
  image[kRoot + 50] = 1;         // reserved in an inode
  image[kRootEntries + 11] = 1;  // reserved in a dirent
  image[8192] = 1;               // the block before the root
  REQUIRE(read_bootstrap(image, "image", &notes));
  CHECK(notes.size() == 6);
}

TEST_CASE("bootstrap: a compact inode takes the time of the image") {
  Buffer image = read_fixture(kMerged);
  image[kSuper + 24] = 77;
  // /dev/null as a compact inode; the second half of its 64 bytes is nobody's then.
  const uint8_t compact[32] = {0, 0, 0, 0, 0xb6, 0x21, 1, 0, 0, 0, 0, 0, 0, 0,
                               0, 0, 3, 1, 0,    0,    9, 0, 0, 0, 4, 0, 5, 0};
  std::copy(std::begin(compact), std::end(compact), image.begin() + kNull);
  auto tree = read_bootstrap(image, "image");
  REQUIRE_MESSAGE(tree, tree.error().message);
  CHECK(dump(*tree).find(
            R"("/dev/null", "type": "chr", "mode": "0666", "uid": 4, "gid": 5, "mtime": "77.000000000")") !=
        std::string::npos);
  image[kNull + 12] = 1;
  expect_corrupt(image, "i_mtime of a compact inode");
}

TEST_CASE("bootstrap: a wrong name filter is refused once it is announced") {
  Buffer image = read_fixture(kMerged);
  image[kReplacedXattrs] = 0x01;
  CHECK(read_bootstrap(image, "image"));
  image[kSuper + 8] = 4;
  expect_corrupt(image, "h_name_filter");
  image[kReplacedXattrs] = 0;
  CHECK(read_bootstrap(image, "image"));
}

TEST_CASE("bootstrap: bytes of anything give an answer") {
  constexpr uint64_t kSeed = 20260724;
  MESSAGE("seed " << kSeed);
  std::mt19937_64 random(kSeed);
  size_t accepted = 0;
  for (const char* name : kSeeds) {
    CAPTURE(name);
    const Buffer whole = read_fixture(name);
    // Bytes that mean something, each with the values that break most.
    for (size_t at = 1024; at < whole.size(); at++) {
      if (whole[at] == 0 && random() % 16 != 0) continue;
      Buffer image = whole;
      const uint8_t values[] = {0, 255, static_cast<uint8_t>(whole[at] ^ 1),
                                static_cast<uint8_t>(whole[at] ^ 128)};
      image[at] = values[random() % 4];
      try_image(image, accepted);
    }
    for (int i = 0; i < 1000; i++) {
      Buffer image = whole;
      for (uint64_t n = random() % 8 + 1; n > 0; n--)
        image[1024 + random() % (whole.size() - 1024)] = static_cast<uint8_t>(random());
      try_image(image, accepted);
    }
  }
  // Damage to digests, times, owners and padding is not damage to the structure.
  CHECK(accepted > 100);
}
