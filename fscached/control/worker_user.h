// Who the processes without power are.
#pragma once

#include <string>

#include "fscached/keeper/cache_owner.h"

namespace fscached {

using namespace erofs_format;

// `name`: of a user, or a number. Without the usual user it is a number nobody has: systemd and Debian leave
// it unused.
Result<keeper::WorkerUser> find_worker_user(const std::string& name);

}  // namespace fscached
