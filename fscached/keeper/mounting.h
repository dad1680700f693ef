// The mount system calls. Never mount(8): it puts a loop device beneath a regular
// file, and loop I/O raises no events.
#pragma once

#include <sys/types.h>

#include <string>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/keeper/mechanism.h"

namespace fscached::keeper {

using namespace erofs_format;

// A child process that makes a mount nobody sees yet and reads the start of one file of it. Both may wait
// for the worker, so the keeper, which has to replace a worker that died, must not do them itself.
struct Mounting {
  pid_t child = -1;
  os::UniqueFd report;  // readable when the child is done
};
// `canary`: path of the file, relative to the mount; empty = none. `attributes`: MOUNT_ATTR_….
Result<Mounting> start_mounting(const MountPlan& plan, uint64_t attributes, const std::string& canary);
// After `report` became readable, or to give up, which kills the child. The message has the canary's first
// bytes in `text`; the descriptor is the mount.
Result<Received> finish_mounting(Mounting& mounting);

// Makes it visible.
Result<void> show_mount(int mount, const std::string& mountpoint);
// The kernel's number of the mount at or beneath a descriptor.
Result<uint64_t> mount_id_of(int directory, const std::string& path);
// errno EBUSY: in use, or something is mounted inside. Changes nothing.
Result<void> check_idle(const std::string& mountpoint, uint64_t mount_id);
// errno EBUSY: in use. Refuses when the mount there is not `mount_id`; gone already is fine.
Result<void> remove_mount(const std::string& mountpoint, uint64_t mount_id);

}  // namespace fscached::keeper
