#include "fscached/keeper/cache_owner.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "erofs-format/base/os.h"

namespace fscached::keeper {

namespace {

constexpr unsigned kMaxCacheDepth = 8;

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

Result<void> hand_over(int parent, const char* name, const std::string& path, const WorkerUser& user,
                       unsigned depth);

Result<void> hand_over_contents(int descriptor, const std::string& path, const WorkerUser& user,
                                unsigned depth) {
  Folder folder(fdopendir(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)));
  if (!folder) return errno_error(path);
  while (dirent* entry = readdir(folder.get())) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    TRY(hand_over(descriptor, entry->d_name, path + "/" + entry->d_name, user, depth));
  }
  return {};
}

// A folder goes last, so that what was interrupted begins again. Only what can have no other name: whoever
// owned the folder could have linked a file of the host into it.
Result<void> hand_over(int parent, const char* name, const std::string& path, const WorkerUser& user,
                       unsigned depth) {
  struct stat status = {};
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(path);
  if (status.st_uid == user.uid) return {};
  if (S_ISDIR(status.st_mode)) {
    if (depth == 0) return make_error(Code::corrupt, path + ": deeper than any cache");
    TRY_ASSIGN(os::UniqueFd folder, os::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(hand_over_contents(folder.get(), path, user, depth - 1));
  } else if (!S_ISREG(status.st_mode) || status.st_nlink > 1) {
    return make_error(Code::corrupt, path + ": is no file of the cache");
  }
  if (fchownat(parent, name, user.uid, user.gid, AT_SYMLINK_NOFOLLOW) != 0) return errno_error(path);
  return {};
}

}  // namespace

Result<void> let_worker_pass(int root, const std::string& name, const WorkerUser& user) {
  if (fchown(root, 0, user.gid) != 0 || fchmod(root, 0710) != 0) return errno_error(name);
  return {};
}

Result<void> give_folder(const std::string& name, const WorkerUser& user) {
  TRY(os::make_directory(name, 0700));
  return hand_over(AT_FDCWD, name.c_str(), name, user, kMaxCacheDepth);
}

// The kernel takes file capabilities away together with the file user 0, unless told not to.
AsWorkerUser::AsWorkerUser(const WorkerUser& user) : securebits_(prctl(PR_GET_SECUREBITS)) {
  prctl(PR_SET_SECUREBITS, securebits_ | SECBIT_NO_SETUID_FIXUP);
  gid_ = setfsgid(user.gid);
  uid_ = setfsuid(user.uid);
}

AsWorkerUser::~AsWorkerUser() {
  setfsuid(static_cast<uid_t>(uid_));
  setfsgid(static_cast<gid_t>(gid_));
  prctl(PR_SET_SECUREBITS, securebits_);
}

}  // namespace fscached::keeper
