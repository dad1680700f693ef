// The folder the kernel's cache lives in, from user space: which data its files hold, and taking files away
// through the kernel, which alone knows whether they are in use.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/worker_pool.h"
#include "fscached/kernel/cache_command.h"
#include "fscached/kernel/cache_file.h"
#include "fscached/kernel/cachefiles_names.h"

namespace fscached {

// Where SEEK_DATA finds data within a range; also of the kernel's own descriptors of cache files.
Result<std::vector<Extent>> data_extents(int fd, Extent range);
// Takes the data of a range away.
Result<void> make_hole(int fd, Extent range);

class CacheDirectory {
 public:
  // `device`: the bound /dev/cachefiles, borrowed. `path`: what was given as `dir`.
  CacheDirectory(int device, std::string path) : device_(device), path_(std::move(path)) {}

  std::string path_of(const CookieName& name) const;
  // The file, when it has a name: then the kernel uses this one and no other.
  Result<os::UniqueFd> open(const CookieName& name, int flags) const;
  // Runs on a thread whose working directory is its own.
  void run(std::function<void()> task);

  // --- only inside run() ---
  Result<bool> in_use(const CookieName& name) const { return cache_file_in_use(device_, path_, name); }
  // Removes it; errno EBUSY = in use. A file that is not there is fine.
  Result<void> cull(const CookieName& name) const;
  // Every cookie's file whose volume is EROFS's.
  Result<std::vector<CookieName>> all() const;

 private:
  int device_;
  std::string path_;
  WorkerPool janitor_{1};
};

}  // namespace fscached
