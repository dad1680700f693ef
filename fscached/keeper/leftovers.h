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
// Detaches those of a daemon that died; returns their mountpoints.
Result<std::vector<std::string>> detach_leftovers(const std::function<bool(const MountedErofs&)>& is_ours);

}  // namespace fscached::keeper
