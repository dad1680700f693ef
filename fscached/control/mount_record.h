// What a successor must know of a mount, beside its bootstrap: <root>/mounts/<number>/mount.json.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/result.h"
#include "fscached/control/source_settings.h"

namespace fscached {

using namespace erofs_format;

struct MountRecord {
  std::string image;  // as the user named it: a bootstrap or a reference
  SourceSettings source;
  std::vector<std::string> blobs;  // names that are not in the bootstrap
};

// Relative to the root, which is the working directory.
std::string mount_folder(uint32_t id);
// Chunk information of the blob at a place in the device table.
std::string table_path(const std::string& folder, size_t blob);
Result<MountRecord> read_mount_record(const std::string& folder);
Result<void> write_mount_record(const std::string& folder, const MountRecord& record);

}  // namespace fscached
