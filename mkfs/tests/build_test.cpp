#include "mkfs/build.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <random>

#include "erofs-format/blob/blob_reader.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"

namespace {

using namespace mkfs;

struct File {
  std::string path;
  Buffer content;
};

// Gives its files in order, the content in pieces of any size.
class MemorySource final : public Source {
 public:
  MemorySource(const std::vector<File>& files, uint32_t seed) : files_(files), random_(seed) {}
  Result<bool> next(SourceEntry& entry) override {
    if (next_ == files_.size()) return false;
    entry = {};
    entry.path = files_[next_].path;
    entry.mode = S_IFREG | 0644;
    entry.size = files_[next_].content.size() + promised_too_much;
    next_++;
    offset_ = 0;
    return true;
  }
  Result<size_t> read(MutableBytes into) override {
    const Buffer& content = files_[next_ - 1].content;
    size_t most = std::min(into.size(), content.size() - offset_);
    size_t size = most <= 1 ? most : 1 + random_() % most;
    if (size != 0) std::memcpy(into.data(), content.data() + offset_, size);
    offset_ += size;
    return size;
  }
  uint64_t promised_too_much = 0;

 private:
  const std::vector<File>& files_;
  std::mt19937 random_;
  size_t next_ = 0;
  size_t offset_ = 0;
};

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/build-test-XXXXXX";
    REQUIRE(::mkdtemp(name));
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Buffer random_bytes(std::mt19937& random, size_t size) {
  Buffer bytes(size);
  // Half of them compress.
  uint32_t mask = random() % 2 ? 0xff : 0x03;
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random() & mask);
  return bytes;
}

// Few different contents, so that equal chunks meet while both are under way.
std::vector<File> many_files(uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Buffer> contents = {Buffer(), Buffer(70000), Buffer(1)};
  for (size_t size : {1u, 100u, 4095u, 4096u, 4097u, 8192u, 12289u, 50000u})
    contents.push_back(random_bytes(random, size));
  std::vector<File> files;
  for (int i = 0; i < 300; i++) {
    Buffer content = contents[random() % contents.size()];
    if (random() % 4 == 0) content = random_bytes(random, random() % 20000);
    files.push_back({"d" + std::to_string(i % 7) + "/f" + std::to_string(i), std::move(content)});
  }
  return files;
}

struct Built {
  BuildResult result;
  Buffer blob;
};

Built build(const std::vector<File>& files, const BuildOptions& options, size_t jobs) {
  Folder folder;
  const std::string path = folder.path() + "/blob";
  auto fd = os::open(path, O_RDWR | O_CREAT, 0600);
  REQUIRE(fd);
  MemorySource source(files, static_cast<uint32_t>(jobs));
  WorkerPool pool(jobs);
  auto result = build_image(source, options, pool, fd->get(), path);
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  auto blob = os::read_file(path, UINT32_MAX);
  REQUIRE(blob);
  CHECK(blob->size() == result->counters.bytes_out);
  return {std::move(*result), std::move(*blob)};
}

InodeId find(const Tree& tree, const std::string& path) {
  InodeId at = kRootInode;
  for (size_t start = 0;;) {
    size_t slash = path.find('/', start);
    const std::string name = path.substr(start, slash - start);
    for (const auto& entry : *tree.inodes[at].entries)
      if (entry.name == name) {
        at = entry.inode;
        break;
      }
    if (slash == path.npos) return at;
    start = slash + 1;
  }
}

// Every file, read through the bootstrap and the blob, is what went in.
void check_contents(const std::vector<File>& files, const std::vector<const Built*>& images) {
  Folder folder;
  for (const Built* image : images)
    if (image->result.has_blob)
      REQUIRE(os::publish_file(folder.path() + "/" + to_hex(sha256(image->blob)), image->blob));
  auto tree = read_bootstrap(images[0]->result.bootstrap, "image");
  REQUIRE(tree);
  auto reader = BlobReader::open(*tree, {folder.path()});
  REQUIRE_MESSAGE(reader, (reader ? "" : reader.error().message));
  for (const File& file : files) {
    InodeId id = find(*tree, file.path);
    CHECK(tree->inodes[id].size == file.content.size());
    auto digest = (*reader)->file_digest(id);
    REQUIRE_MESSAGE(digest, (digest ? "" : digest.error().message));
    CHECK(*digest == sha256(file.content));
  }
}

BuildOptions small_chunks() {
  BuildOptions options;
  options.chunks.chunk_size = 4096;
  return options;
}

TEST_CASE("an image has the same bytes with 1, 2 and 8 jobs, and gives back what went in") {
  std::vector<BuildOptions> variants(6, small_chunks());
  variants[1].chunks.compressor = Compressor::none;
  variants[2].chunks.compressor = Compressor::lz4_block;
  variants[3].chunks.digester = Digester::sha256;
  variants[4].blob.toc = true;
  variants[5].chunks.chunk_size = 65536;
  variants[5].chunks.batch_size = 16384;
  for (uint32_t seed : {1u, 2u, 3u}) {
    auto files = many_files(seed);
    for (size_t i = 0; i < variants.size(); i++) {
      CAPTURE(seed);
      CAPTURE(i);
      Built one = build(files, variants[i], 1);
      for (size_t jobs : {2u, 8u}) {
        Built other = build(files, variants[i], jobs);
        CHECK(other.blob == one.blob);
        CHECK(other.result.bootstrap == one.result.bootstrap);
      }
      check_contents(files, {&one});
    }
  }
}

TEST_CASE("equal chunks are stored once") {
  Buffer content(3 * 4096, 'x');
  Built built = build({{"a", content}, {"b", content}, {"c", Buffer(4096, 'x')}, {"d", Buffer(4095, 'x')}},
                      small_chunks(), 2);
  CHECK(built.result.counters.chunks == 2);  // equal digests need equal sizes: 4,095 is another chunk
  CHECK(built.result.counters.duplicates == 6);
  CHECK(built.result.counters.bytes_in == 6 * 4096 + 4096 + 4095);
}

TEST_CASE("small files share a batch that is compressed once") {
  BuildOptions options;
  options.chunks.batch_size = 65536;
  std::mt19937 random(5);
  std::vector<File> files;
  for (int i = 0; i < 40; i++)
    files.push_back({"f" + std::to_string(i), Buffer(2000 + static_cast<size_t>(i), 'a')});
  Built batched = build(files, options, 2);
  Built alone = build(files, BuildOptions{}, 2);
  CHECK(batched.result.tree.blobs[0].has(0x80));
  CHECK(batched.blob.size() < alone.blob.size());
  check_contents(files, {&batched});
}

TEST_CASE("chunks of a dictionary are not stored again") {
  auto files = many_files(9);
  Built base = build(files, small_chunks(), 2);
  Dictionary dictionary(std::move(*read_bootstrap(base.result.bootstrap, "dictionary")));
  BuildOptions options = small_chunks();
  options.chunks.dictionary = &dictionary;

  Built same = build(files, options, 2);
  CHECK(!same.result.has_blob);
  CHECK(same.blob.empty());

  auto more = files;
  more.insert(more.begin() + 5, {"new", Buffer(5000, 'n')});
  Built grown = build(more, options, 2);
  CHECK(grown.result.counters.chunks == 2);
  CHECK(grown.result.tree.blobs.size() == 2);
  check_contents(more, {&grown, &base});
}

TEST_CASE("a source without content has no blob") {
  Built built = build({{"empty", {}}}, BuildOptions{}, 1);
  CHECK(!built.result.has_blob);
  CHECK(built.blob.empty());
  CHECK(built.result.tree.blobs.empty());
}

TEST_CASE("a blob with its bootstrap inside has one, even without content") {
  BuildOptions options;
  options.blob.inline_meta = options.blob.toc = true;
  Built built = build({{"empty", {}}}, options, 1);
  CHECK(built.result.has_blob);
  CHECK(built.result.blob_digest == sha256(built.blob));
}

TEST_CASE("content that ends early is an error that names the file and the byte") {
  std::vector<File> files = {{"short", Buffer(10000, 's')}};
  MemorySource source(files, 1);
  source.promised_too_much = 5;
  WorkerPool pool(2);
  auto result = build_image(source, small_chunks(), pool, -1, "blob");
  REQUIRE(!result);
  CHECK(result.error().code == Code::changed);
  CHECK(result.error().message == "short: ends at byte 10000 instead of 10005");
}

TEST_CASE("a blob that cannot be written ends the build while chunks are under way") {
  auto fd = os::open("/dev/full", O_WRONLY);
  REQUIRE(fd);
  std::mt19937 random(3);
  std::vector<File> files = {{"big", Buffer(20 << 20)}};
  for (auto& byte : files[0].content) byte = static_cast<uint8_t>(random());
  MemorySource source(files, 1);
  WorkerPool pool(2);
  auto result = build_image(source, BuildOptions{}, pool, fd->get(), "the blob");
  REQUIRE(!result);
  CHECK(result.error().code == Code::no_space);
  CHECK(result.error().message.starts_with("the blob: "));
}

TEST_CASE("several builds share a pool") {
  auto files = many_files(4);
  Built alone = build(files, small_chunks(), 2);
  Folder folder;
  WorkerPool pool(2);
  std::vector<Digest> digests(4);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < digests.size(); i++)
      threads.emplace_back([&, i] {
        auto fd = os::open(folder.path() + "/" + std::to_string(i), O_WRONLY | O_CREAT, 0600);
        MemorySource source(files, static_cast<uint32_t>(i));
        auto result = build_image(source, small_chunks(), pool, fd->get(), "blob");
        if (result) digests[i] = result->blob_digest;
      });
  }
  for (const Digest& digest : digests) CHECK(digest == alone.result.blob_digest);
}

}  // namespace
