#include "fscached/storage/blob_file.h"

#include <fcntl.h>

#include "fscached/storage/blob_name.h"

namespace fscached {

Result<os::UniqueFd> open_blob_file(const std::string& folder, const std::string& blob_id) {
  TRY(check_blob_id(blob_id));
  std::string path = folder + "/" + blob_id;
  TRY_ASSIGN(os::UniqueFd fd, os::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  TRY_ASSIGN(struct stat status, os::stat_of(fd.get(), path));
  if (!S_ISREG(status.st_mode)) return make_error(Code::io, path + ": not a regular file");
  return fd;
}

}  // namespace fscached
