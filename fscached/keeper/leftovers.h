// EROFS mounts of this mount namespace, as the kernel lists them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "erofs-format/base/result.h"

namespace fscached::keeper {

using namespace erofs_format;

struct MountedErofs {
  uint64_t id = 0;  // as mount_id_of() gives it
  std::string mountpoint;
  std::string source;
  std::string options;  // of the superblock: "ro,user_xattr,…,fsid=ID,domain_id=ID"
};

Result<std::vector<MountedErofs>> mounted_erofs();

// In the root: where images were mounted that were detached because nobody could serve them, each with a NUL
// behind it. Of the beginning that went on until now, through every start that took over from there.
constexpr char kDetachedFile[] = "detached";
// Detaches those of a daemon that died, and writes them down; `saw`: what their readers got.
Result<void> detach_leftovers(const std::function<bool(const MountedErofs&)>& is_ours, const char* saw);

}  // namespace fscached::keeper
