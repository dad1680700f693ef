#include "fscached/control/worker_user.h"

#include <pwd.h>

#include "erofs-format/base/options.h"
#include "fscached/control/config.h"

namespace fscached {

Result<keeper::WorkerUser> find_worker_user(const std::string& name) {
  constexpr uint32_t kNobodyElse = 65530;
  keeper::WorkerUser user = {kNobodyElse, kNobodyElse};
  if (const passwd* found = getpwnam(name.c_str())) {
    user = {found->pw_uid, found->pw_gid};
  } else if (name != kDefaultWorkerUser) {
    TRY_ASSIGN(uint64_t number, parse_number(name, UINT32_MAX - 1, "worker.user"));
    user = {static_cast<uid_t>(number), static_cast<gid_t>(number)};
  }
  if (user.uid == 0) return usage_error("worker.user: the worker must not be root");
  return user;
}

}  // namespace fscached
