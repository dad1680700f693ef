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

// fanotify.
Result<os::UniqueFd> open_fanotify_group();
// Mounts an empty image, which nobody sees, from a file below `root`.
Result<void> probe_erofs_from_file(const std::string& root);
// Marks a file below `root`.
Result<void> probe_pre_content_mark(const std::string& root);

}  // namespace fscached::keeper
