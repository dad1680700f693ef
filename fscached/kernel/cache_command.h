// What the kernel says and does about a file of its cache, by writing to its device.
#pragma once

#include <string>

#include "fscached/kernel/cachefiles_names.h"

namespace fscached {

// Of the kernel's cache in `path`; the working directory changes meanwhile: the kernel takes names relative
// to it. Whether a cookie has the file open; one that is not there is not in use.
Result<bool> cache_file_in_use(int device, const std::string& path, const CookieName& name);
// Removes it; errno EBUSY = in use. A file that is not there is fine.
Result<void> cull_cache_file(int device, const std::string& path, const CookieName& name);

}  // namespace fscached
