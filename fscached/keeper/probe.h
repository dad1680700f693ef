// What this host offers, found out by trying: for choosing a mechanism, and for `doctor` to say why not.
#pragma once

#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"

namespace fscached::keeper {

using namespace erofs_format;

// cachefiles, in the order in which the daemon needs them.
Result<void> probe_fsid_option();
Result<os::UniqueFd> open_cachefiles_device();
// Binds a cache in a new folder below `root` and lets it go again.
Result<void> probe_cachefiles_cache(const std::string& root);

// fanotify.
Result<os::UniqueFd> open_fanotify_group();
// Mounts an empty image, which nobody sees, from a file below `root`.
Result<void> probe_erofs_from_file(const std::string& root);
// Marks a file below `root`.
Result<void> probe_pre_content_mark(const std::string& root);

// Why the kernel that runs is known to be unsafe for cachefiles; empty = it is not.
std::string known_cachefiles_defect();

}  // namespace fscached::keeper
