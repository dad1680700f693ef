#include "erofs-format/image/layout_folder.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "erofs-format/image/verified_source.h"

using namespace erofs_format;
namespace fs = std::filesystem;

namespace {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "layout-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()));
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write(const std::string& path, std::string_view text) { std::ofstream(path) << text; }
std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
size_t count_files(const std::string& path) {
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path)) files += entry.is_regular_file();
  return files;
}

// An image of nothing but a manifest text.
Result<Descriptor> publish(const std::string& path, const std::string& tag, std::string_view text) {
  TRY_ASSIGN(auto transaction, LayoutTransaction::create(path));
  Descriptor image = describe_bytes(as_bytes(text), std::string(kOciManifestType));
  TRY(transaction.publish(image, as_bytes(text), tag));
  return image;
}

}  // namespace

TEST_CASE("what was published is found by its name") {
  ScratchFolder scratch;
  std::string path = scratch / "layout";
  auto a = publish(path, "a", "AAA");
  auto b = publish(path, "b", "BBB");
  auto a2 = publish(path, "a", "A2");
  auto nameless = publish(path, "", "nameless");
  REQUIRE(a);
  REQUIRE(b);
  REQUIRE(a2);
  REQUIRE(nameless);
  auto layout = LayoutFolder::open(path);
  REQUIRE(layout);
  CHECK(layout->index().manifests.size() == 3);
  CHECK(layout->find("a")->digest == a2->digest);
  CHECK(layout->find("b")->digest == b->digest);
  CHECK(layout->find("c").error().message ==
        path + ": no image 'c', there are: b, a, " + digest_text(nameless->digest));
  CHECK(layout->find("").error().message.starts_with(path + ": holds 3 images, name one of: "));
  auto text = layout->read_blob(*b);
  REQUIRE(text);
  CHECK(as_text(*text) == "BBB");
}

TEST_CASE("unknown fields and entries of index.json stay") {
  ScratchFolder scratch;
  std::string path = scratch / "layout";
  REQUIRE(publish(path, "a", "AAA"));
  std::string index = read(path + "/index.json");
  index.insert(1, "\"zzz\":{\"k\":[1]},");
  write(path + "/index.json", index);
  REQUIRE(publish(path, "b", "BBB"));
  CHECK(read(path + "/index.json").starts_with("{\"zzz\":{\"k\":[1]},"));
  CHECK(LayoutFolder::open(path)->index().manifests.size() == 2);
}

TEST_CASE("a transaction that is dropped leaves nothing") {
  ScratchFolder scratch;
  std::string path = scratch / "layout";
  {
    auto transaction = LayoutTransaction::create(path);
    REQUIRE(transaction);
    REQUIRE(transaction->add_bytes(as_bytes("x"), "t"));
    auto open = transaction->new_blob();
    REQUIRE(open);
    CHECK(!LayoutFolder::open(path));
  }
  CHECK(!fs::exists(path));
  REQUIRE(publish(path, "a", "AAA"));
  std::string before = read(path + "/index.json");
  {
    auto transaction = LayoutTransaction::create(path);
    REQUIRE(transaction);
    REQUIRE(transaction->add_bytes(as_bytes("x"), "t"));
  }
  CHECK(read(path + "/index.json") == before);
  CHECK(count_files(path) == 3);
}

TEST_CASE("a folder that is no layout is refused, not overwritten") {
  ScratchFolder scratch;
  std::string path = scratch / "x";
  fs::create_directory(path);
  CHECK(LayoutFolder::open(path).error().message == path + ": not an OCI image layout: no file oci-layout");
  write(path + "/index.json", "mine");
  CHECK(!LayoutTransaction::create(path));
  CHECK(read(path + "/index.json") == "mine");
  write(path + "/oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  CHECK(LayoutFolder::open(path).error().message == path + "/oci-layout: version '2.0.0' is not supported");
}

TEST_CASE("a blob is what its descriptor says, or an error at its end") {
  ScratchFolder scratch;
  std::string path = scratch / "layout";
  auto image = publish(path, "a", "0123456789");
  REQUIRE(image);
  auto layout = LayoutFolder::open(path);
  REQUIRE(layout);
  std::string blob = path + "/blobs/sha256/" + to_hex(image->digest);
  auto verdict = [&] {
    auto source = layout->open_blob(*image, "layer 1");
    REQUIRE(source);
    auto end = drain(**source);
    return end ? "" : end.error().message;
  };
  auto whole = [&] {
    auto bytes = layout->read_blob(*image);
    return bytes ? "" : bytes.error().message;
  };
  CHECK(verdict() == "");
  fs::permissions(blob, fs::perms::owner_all);
  write(blob, "0123456780");
  CHECK(verdict().starts_with("layer 1: content is sha256:"));
  CHECK(whole().starts_with(blob + ": content is sha256:"));
  write(blob, "012345678");
  CHECK(verdict() == "layer 1: 9 bytes, its descriptor says 10");
  CHECK(whole() == blob + ": 9 bytes, its descriptor says 10");
  write(blob, "01234567890");
  CHECK(verdict() == "layer 1: longer than the 10 bytes its descriptor says");
  fs::remove(blob);
  CHECK(layout->open_blob(*image, "layer 1").error().message ==
        "layer 1: " + blob + ": No such file or directory");
}

TEST_CASE("an index leads to the platform asked for") {
  ScratchFolder scratch;
  std::string path = scratch / "layout";
  auto transaction = LayoutTransaction::create(path);
  REQUIRE(transaction);
  Index inner;
  for (const char* arch : {"amd64", "arm64"}) {
    auto manifest = transaction->add_bytes(as_bytes(arch), std::string(kOciManifestType));
    REQUIRE(manifest);
    manifest->document["platform"] = {{"os", "linux"}, {"architecture", arch}};
    inner.manifests.push_back(*manifest);
  }
  auto index = transaction->add_bytes(as_bytes(serialize(inner)), std::string(kOciIndexType));
  REQUIRE(index);
  REQUIRE(transaction->publish(*index, as_bytes(serialize(inner)), "multi"));
  auto layout = LayoutFolder::open(path);
  auto start = layout->find("multi");
  REQUIRE(start);
  auto arm = layout->find_manifest(*start, {"linux", "arm64", ""});
  REQUIRE(arm);
  CHECK(as_text(*layout->read_blob(*arm)) == "arm64");
  auto none = layout->find_manifest(*start, {"linux", "s390x", ""});
  REQUIRE(!none);
  CHECK(none.error().message.ends_with("no image for linux/s390x, there are: linux/amd64, linux/arm64"));
}
