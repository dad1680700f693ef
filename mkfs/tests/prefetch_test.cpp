#include "mkfs/prefetch.h"

#include <doctest/doctest.h>

#include "mkfs/output_json.h"

using namespace mkfs;

TEST_CASE("prefetch patterns are absolute and do not lie below each other") {
  using List = std::vector<std::string>;
  CHECK(parse_prefetch_patterns("") == List{});
  CHECK(parse_prefetch_patterns("/\n") == List{"/"});
  CHECK(parse_prefetch_patterns("/a/\nb\n\n/a/b\n/ab\r\n/c") == List{"/a", "/ab", "/c"});
  CHECK(parse_prefetch_patterns("/\n/a") == List{"/"});
  CHECK(parse_prefetch_patterns("/a//b/./c/.\n/a/b/c/d\n/a/b\n//\n") == List{"/a/b/c", "/a/b", "/"});
  CHECK(parse_prefetch_patterns({"/a\0b\n/c", 7}) == List{"/c"});
}

TEST_CASE("patterns name inodes exactly") {
  Tree tree;
  tree.inodes.resize(3);
  tree.inodes[0].mode = tree.inodes[1].mode = S_IFDIR | 0755;
  tree.inodes[2].mode = S_IFREG | 0644;
  auto entries = [](std::string name, InodeId id) {
    auto list = std::make_unique<std::vector<DirEntry>>();
    list->push_back({std::move(name), id});
    return list;
  };
  tree.inodes[0].entries = entries("a", 1);
  tree.inodes[1].entries = entries("b", 2);
  std::vector<InodeId> expected = {2, 0, 1};
  CHECK(resolve_prefetch(tree, {"/a/b", "/", "/x", "/a//b/c", "/a", "/a/b/c"}) == expected);
}

TEST_CASE("the answer for other tools has the fields they read, in order") {
  Tree tree;
  tree.blobs.resize(2);
  tree.blobs[0].id = "b";
  tree.blobs[1].id = "a";
  std::string text = output_json(tree, "out\n");
  for (auto& c : text)
    if (c == '\n') c = ' ';
  CHECK(text.find("\"bootstrap\": \"out\\n\",   \"blobs\": [     \"b\",     \"a\"   ],") != text.npos);
  CHECK(text.find("\"compressor\": \"zstd\"") != text.npos);
}
