// The worker's user, and what of the root belongs to it: the folders it works in. The root itself and its
// lock stay ours, so that no worker can put anything in their place.
#pragma once

#include <sys/types.h>

#include <string>

#include "erofs-format/base/result.h"

namespace fscached::keeper {

using namespace erofs_format;

struct WorkerUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

// `root`: only its owner may list or change it; the worker may pass through.
Result<void> let_worker_pass(int root, const std::string& name, const WorkerUser& user);
// A folder below the working directory, made when missing. One that belongs to somebody else (to root, as
// older versions left it) is handed over with everything in it.
Result<void> give_folder(const std::string& name, const WorkerUser& user);

// Files the kernel makes for us meanwhile belong to the worker's user; privileges stay.
class AsWorkerUser {
 public:
  explicit AsWorkerUser(const WorkerUser& user);
  AsWorkerUser(const AsWorkerUser&) = delete;
  AsWorkerUser& operator=(const AsWorkerUser&) = delete;
  ~AsWorkerUser();

 private:
  int uid_, gid_, securebits_;
};

}  // namespace fscached::keeper
