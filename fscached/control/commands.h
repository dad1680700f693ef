// The command line of fscached.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/options.h"

namespace fscached {

using namespace erofs_format;

extern const Command kServeCommand;
extern const Command kMountCommand;
extern const Command kAddCommand;
extern const Command kRemoveCommand;
extern const Command kPruneCommand;
extern const Command kDoctorCommand;
extern const Command kUmountCommand;
extern const Command kListCommand;
extern const Command kStatusCommand;
extern const Command kStatsCommand;
extern const Command kFetchCommand;
extern const Command kScrubCommand;
// What follows kTakeOverCheck on the command line; the exit status.
int check_take_over(const std::vector<std::string>& words);
// Called by mount(8): `mount.nydus-erofs IMAGE MOUNTPOINT [-sfnv] [-o OPTIONS]`.
extern const Command kMountHelper;

}  // namespace fscached
