// How the kernel's cache names things: volume keys, and where a cookie's file lies below the cache's folder
// (source: fs/cachefiles/key.c, fs/netfs/fscache_{main,volume,cookie}.c; kernel/on-demand.md 1.4, 1.9).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "erofs-format/base/result.h"

namespace fscached {

using namespace erofs_format;

// A file of the cache, as EROFS asks for it.
struct CookieName {
  std::string volume;  // "erofs,DOMAIN" or "erofs,FSID"
  std::string cookie;  // FSID of a bootstrap, device tag of a blob
  auto operator<=>(const CookieName&) const = default;
};

// Longer ones crash the kernel, and others than these characters are stored in an encoded form: letters,
// digits, and `. _ - + @ :`, not empty.
Result<void> check_cookie_word(std::string_view what, std::string_view word);
// Under which EROFS shows an image in sysfs; Linux 6.12 cuts it there and cannot mount two of one name.
std::string sysfs_name(std::string_view fsid, std::string_view domain);
// The volume of an image without a domain is its own.
std::string volume_key(std::string_view fsid, std::string_view domain);

struct CookiePlace {
  std::string folder;  // relative to the folder given as `dir`
  std::string file;    // in it
};
CookiePlace place_of(const CookieName& name);

}  // namespace fscached
