// The mount system calls. Never mount(8): it puts a loop device beneath a regular
// file, and loop I/O raises no events.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/limits.h"

namespace fscached::keeper {

using namespace erofs_format;

// A mount nobody sees yet.
Result<os::UniqueFd> make_mount(const std::string& bootstrap, const std::vector<std::string>& devices,
                                uint64_t attributes);
// Makes it visible.
Result<void> show_mount(int mount, const std::string& mountpoint);
// The kernel's number of the mount at or beneath a descriptor.
Result<uint64_t> mount_id_of(int directory, const std::string& path);
// errno EBUSY: in use, or something is mounted inside. Changes nothing.
Result<void> check_idle(const std::string& mountpoint, uint64_t mount_id);
// errno EBUSY: in use. Refuses when the mount there is not `mount_id`; gone already is fine.
Result<void> remove_mount(const std::string& mountpoint, uint64_t mount_id);
// Mounts whose source lies below `root`: left by a keeper that died. Detaches and names them.
Result<std::vector<std::string>> detach_leftovers(const std::string& root);

// A child process that reads the start of one file of a mount: it may wait for the
// origin, the keeper may not.
struct CanaryResult {
  int32_t error = 0;
  uint32_t size = 0;
  std::array<uint8_t, kCanaryBytes> bytes = {};
};
struct Canary {
  pid_t child = -1;
  os::UniqueFd result;  // readable when the child is done
};
Result<Canary> start_canary(int mount, const std::string& path);
// After `result` became readable, or to give up: ends and reaps the child.
CanaryResult finish_canary(Canary& canary);

}  // namespace fscached::keeper
