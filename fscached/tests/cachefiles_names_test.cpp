#include "fscached/kernel/cachefiles_names.h"

#include <doctest/doctest.h>

using namespace fscached;

TEST_CASE("cachefiles names: folders as kernels were seen to make them") {
  CHECK(place_of({"erofs,meta", "blob"}).folder == "cache/Ierofs,meta/@ea");
  CHECK(place_of({"erofs,meta", "meta"}).folder == "cache/Ierofs,meta/@76");
  CHECK(place_of({"erofs,meta", "meta"}).file == "Dmeta");
  CHECK(place_of({"erofs,fscached", "0837ae2f2e39adef8ead2a4d9a9af42e800a30eb691b15c60778d85551aa8def"})
            .folder == "cache/Ierofs,fscached/@b2");
  CHECK(place_of({"erofs,fscached", "b90b3e36a7dd7f0424e9fb0e3740b3a7-1"}).folder ==
        "cache/Ierofs,fscached/@65");
}

TEST_CASE("cachefiles names: an image without a domain is its own volume") {
  CHECK(volume_key("image", "") == "erofs,image");
  CHECK(volume_key("image", "team") == "erofs,team");
}

TEST_CASE("cachefiles names: only what the kernel stores as it is, and survives") {
  CHECK(check_cookie_word("fsid", "a-B_3.x+y@z:1"));
  CHECK(check_cookie_word("fsid", std::string(240, 'a')));
  for (const std::string& word :
       {std::string(), std::string(241, 'a'), std::string("a b"), std::string("a,b"), std::string("a/b"),
        std::string("\xff"), std::string("a\0b", 3)}) {
    auto checked = check_cookie_word("fsid", word);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().message.starts_with("fsid '"));
  }
}

TEST_CASE("cachefiles names: what Linux 6.12 tells two images apart by") {
  CHECK(sysfs_name("1-abc", "fscached") == "fscached,1-abc");
  CHECK(sysfs_name("1-abc", "") == "1-abc");
  CHECK(sysfs_name(std::string(50, 'a') + "1", "d") == sysfs_name(std::string(50, 'a') + "2", "d"));
}
