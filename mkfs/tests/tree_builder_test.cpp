#include "mkfs/tree_builder.h"

#include <doctest/doctest.h>

#include <limits>

namespace {

using namespace mkfs;

SourceEntry entry_of(const std::string& path, uint32_t mode) {
  SourceEntry entry;
  entry.path = path;
  entry.mode = static_cast<uint16_t>(mode);
  return entry;
}

SourceEntry file(const std::string& path, uint64_t size = 0) {
  SourceEntry entry = entry_of(path, S_IFREG | 0644);
  entry.size = size;
  return entry;
}

SourceEntry link_to(const std::string& path, const std::string& target) {
  SourceEntry entry = file(path);
  entry.hard_link_to = target;
  return entry;
}

// The names of a directory, joined.
std::string names(const Tree& tree, InodeId id) {
  std::string text;
  for (const auto& entry : *tree.inodes[id].entries) text += entry.name + " ";
  return text;
}

const Inode& child(const Tree& tree, InodeId id, const std::string& name) {
  for (const auto& entry : *tree.inodes[id].entries)
    if (entry.name == name) return tree.inodes[entry.inode];
  FAIL("no such name: ", name);
  return tree.inodes[id];
}

struct Fixture {
  TreeBuilder builder{TreeOptions{}};
  void add(const SourceEntry& entry) {
    auto result = builder.add(entry);
    REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  }
  std::string refused(const SourceEntry& entry) {
    auto result = builder.add(entry);
    REQUIRE(!result);
    return result.error().message;
  }
};

TEST_CASE("parents that nobody named are directories of root, until somebody names them") {
  Fixture f;
  f.add(file("a/b/c"));
  SourceEntry b = entry_of("a/b", S_IFDIR | 0700);
  b.uid = 7;
  b.mtime = 99;
  f.add(b);
  Tree tree = f.builder.finish();
  const Inode& a = child(tree, kRootInode, "a");
  CHECK(a.mode == (S_IFDIR | 0755));
  CHECK(a.mtime == 0);
  const Inode& named = child(tree, tree.inodes[kRootInode].entries->at(0).inode, "b");
  CHECK(named.mode == (S_IFDIR | 0700));
  CHECK(named.uid == 7);
  CHECK(named.entries->size() == 1);
  CHECK(tree.inodes[kRootInode].nlink == 3);
}

TEST_CASE("names are sorted by their bytes, in whatever order they came") {
  Fixture f;
  for (const char* name : {"b", "\xff", "a", "B", "-", "a b"}) f.add(file(name));
  Tree tree = f.builder.finish();
  CHECK(names(tree, kRootInode) == "- B a a b b \xff ");
}

TEST_CASE("a later entry replaces an earlier one, as tar extracts") {
  Fixture f;
  f.add(file("x", 5));
  f.add(file("x", 9));
  f.add(entry_of("y", S_IFDIR | 0755));
  f.add(file("y", 1));
  f.add(file("z"));
  f.add(entry_of("z", S_IFDIR | 0750));
  f.add(file("z/inside"));
  Tree tree = f.builder.finish();
  CHECK(child(tree, kRootInode, "x").size == 9);
  CHECK(child(tree, kRootInode, "y").is_regular());
  CHECK(child(tree, kRootInode, "z").is_directory());
  CHECK(tree.inodes.size() == 5);  // what was replaced is gone
}

TEST_CASE("a directory named again keeps its content") {
  Fixture f;
  f.add(file("d/f"));
  f.add(entry_of("d", S_IFDIR | 0700));
  Tree tree = f.builder.finish();
  CHECK(child(tree, kRootInode, "d").entries->size() == 1);
}

TEST_CASE("what cannot be extracted is refused by its path") {
  Fixture f;
  f.add(file("f"));
  f.add(file("d/inside"));
  CHECK(f.refused(file("f/below")) == "/f: f is not a directory");
  CHECK(f.refused(file("d")) == "/d: replaces a directory that is not empty");
  CHECK(f.refused(link_to("l", "nothing")) == "/l: hard link to nothing, which does not come before it");
  CHECK(f.refused(link_to("l", "d")) == "/l: hard link to the directory d");
  CHECK(f.refused(entry_of("", S_IFREG)) == "/: the root is not a directory");
  CHECK(f.refused(file(std::string(256, 'n'))).find("name of 256 bytes") != std::string::npos);
}

TEST_CASE("hard links share an inode and are counted") {
  Fixture f;
  f.add(file("first", 3));
  f.add(link_to("d/second", "first"));
  f.add(link_to("third", "d/second"));
  Tree tree = f.builder.finish();
  CHECK(tree.inodes.size() == 3);
  CHECK(child(tree, kRootInode, "third").nlink == 3);
  CHECK(child(tree, kRootInode, "third").size == 3);
}

TEST_CASE("further names of what is no regular file are inodes of their own") {
  Fixture f;
  SourceEntry symlink = entry_of("l", S_IFLNK | 0777);
  symlink.target = "where";
  symlink.uid = 3;
  symlink.mtime = 9;
  symlink.xattrs = {{"trusted.x", "1"}};
  f.add(symlink);
  f.add(link_to("l2", "l"));
  SourceEntry device = entry_of("n", S_IFBLK | 0600);
  device.rdev = 0x801;
  f.add(device);
  f.add(link_to("n2", "n"));
  Tree tree = f.builder.finish();
  CHECK(tree.inodes.size() == 5);
  const Inode& copy = child(tree, kRootInode, "l2");
  CHECK(copy.is_symlink());
  CHECK(*copy.target == "where");
  CHECK(copy.size == 5);
  CHECK(copy.nlink == 1);
  CHECK(copy.uid == 3);
  CHECK(copy.mtime == 9);
  CHECK(*copy.xattrs == symlink.xattrs);
  CHECK(child(tree, kRootInode, "n2").rdev == 0x801);
  CHECK(child(tree, kRootInode, "n").nlink == 1);
}

TEST_CASE("a whiteout has no content that another name could have") {
  Fixture f;
  f.add(file(".wh.x", 3));
  CHECK(f.refused(link_to("y", ".wh.x")) == "/y: hard link to .wh.x, which is a whiteout and has no content");
  f.add(file("z", 3));
  f.add(link_to(".wh.w", "z"));
  Tree tree = f.builder.finish();
  CHECK(names(tree, kRootInode) == "z ");
  CHECK(child(tree, kRootInode, "z").nlink == 1);
}

TEST_CASE("links to a device that marks a removal mark removals") {
  TreeBuilder builder({.whiteouts = WhiteoutSpec::overlayfs});
  REQUIRE(builder.add(entry_of("gone", S_IFCHR)));
  REQUIRE(builder.add(link_to("also", "gone")));
  REQUIRE(builder.add(link_to("too", "also")));
  REQUIRE(builder.add(file("gone", 1)));
  REQUIRE(builder.add(link_to("kept", "gone")));
  Tree tree = builder.finish();
  CHECK(names(tree, kRootInode) == "gone kept ");
  CHECK(child(tree, kRootInode, "kept").nlink == 2);
}

TEST_CASE("a replaced name leaves the other names of the file") {
  Fixture f;
  f.add(file("first", 3));
  f.add(link_to("second", "first"));
  f.add(file("first", 8));
  Tree tree = f.builder.finish();
  CHECK(child(tree, kRootInode, "second").size == 3);
  CHECK(child(tree, kRootInode, "second").nlink == 1);
  CHECK(child(tree, kRootInode, "first").size == 8);
}

TEST_CASE("whiteouts of a single layer hide nothing and are left out") {
  Fixture f;
  f.add(file("d/.wh.gone"));
  f.add(file("d/.wh..wh..opq"));
  f.add(file("kept.wh.x"));
  // A directory of aufs, and what lies in it.
  f.add(entry_of(".wh..wh.plnk", S_IFDIR | 0755));
  f.add(file(".wh..wh.plnk/1.2"));
  Tree tree = f.builder.finish();
  CHECK(names(tree, kRootInode) == "kept.wh.x ");
}

TEST_CASE("with no whiteout rule every name is a name") {
  TreeBuilder builder({.whiteouts = WhiteoutSpec::none});
  REQUIRE(builder.add(file(".wh.x")));
  Tree tree = builder.finish();
  CHECK(names(tree, kRootInode) == ".wh.x ");
}

TEST_CASE("overlayfs marks: device 0:0 and the opaque attribute") {
  TreeBuilder builder({.whiteouts = WhiteoutSpec::overlayfs});
  REQUIRE(builder.add(entry_of("gone", S_IFCHR)));
  SourceEntry device = entry_of("null", S_IFCHR);
  device.rdev = 0x103;
  REQUIRE(builder.add(device));
  SourceEntry opaque = entry_of("d", S_IFDIR | 0755);
  opaque.xattrs = {{"trusted.overlay.opaque", "y"}, {"user.kept", "1"}};
  REQUIRE(builder.add(opaque));
  Tree tree = builder.finish();
  CHECK(names(tree, kRootInode) == "d null ");
  CHECK(child(tree, kRootInode, "d").xattrs->size() == 1);
}

TEST_CASE("owners and times are limited when asked") {
  TreeBuilder builder({.all_root = true, .latest_mtime = 1000});
  SourceEntry late = file("late");
  late.uid = late.gid = 5;
  late.mtime = 1000;
  late.mtime_nsec = 1;
  REQUIRE(builder.add(late));
  SourceEntry early = file("early");
  early.mtime = 999;
  early.mtime_nsec = 7;
  REQUIRE(builder.add(early));
  Tree tree = builder.finish();
  CHECK(child(tree, kRootInode, "late").uid == 0);
  CHECK(child(tree, kRootInode, "late").mtime == 1000);
  CHECK(child(tree, kRootInode, "late").mtime_nsec == 0);
  CHECK(child(tree, kRootInode, "early").mtime == 999);
  CHECK(child(tree, kRootInode, "early").mtime_nsec == 7);
}

}  // namespace
