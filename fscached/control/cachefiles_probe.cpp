#include "fscached/control/cachefiles_probe.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>

#include "fscached/keeper/probe.h"

namespace fscached {

namespace {

// A folder below the root that is gone afterwards.
class ProbeFolder {
 public:
  static Result<ProbeFolder> create(const std::string& root) {
    std::string path = root + "/probe-XXXXXX";
    if (!mkdtemp(path.data())) return errno_error(root);
    return ProbeFolder(path);
  }
  ProbeFolder(ProbeFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ProbeFolder& operator=(ProbeFolder&&) = delete;
  ~ProbeFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit ProbeFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace

Result<void> probe_cachefiles_cache(const std::string& root) {
  TRY_ASSIGN(ProbeFolder folder, ProbeFolder::create(root));
  TRY_ASSIGN(os::UniqueFd device, keeper::open_cachefiles_device());
  for (const std::string& line :
       {"dir " + folder.path(), std::string("bind ondemand"), std::string("restore")}) {
    if (write(device.get(), line.data(), line.size()) >= 0) continue;
    std::string verb = line.substr(0, line.find(' '));
    if (verb == "restore")
      return errno_error("readers see errors when a worker dies: no `restore` (Linux 6.8, 6.6.35, 6.1.95)");
    const char* hint = errno == EINVAL       ? " (CACHEFILES_ONDEMAND in this kernel?)"
                       : errno == EOPNOTSUPP ? " (the file system of the root: ext4, XFS and btrfs can)"
                                             : "";
    return errno_error(fmt::format("{}{}", line, hint));
  }
  return {};
}

// kernel/on-demand.md 1.10: what can only be known by version.
std::string known_cachefiles_defect() {
  utsname name = {};
  unsigned major = 0, minor = 0, patch = 0;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u.%u", &major, &minor, &patch) < 2) return {};
  struct Series {
    unsigned major, minor, safe_from;
  };
  for (const Series& series : {Series{6, 1, 129}, Series{6, 6, 78}, Series{6, 12, 2}, Series{6, 19, 14}}) {
    if (major != series.major || minor != series.minor || patch >= series.safe_from) continue;
    return fmt::format("Linux {}: defects of cachefiles that can crash it are mended in {}.{}.{}",
                       name.release, major, minor, series.safe_from);
  }
  bool maintained = (major == 6 && (minor == 1 || minor == 6 || minor >= 12)) || major > 6;
  if (maintained) return {};
  return fmt::format(
      "Linux {}: defects of cachefiles that can crash it were never mended: 6.1.129, 6.6.78 or 6.12.2",
      name.release);
}

}  // namespace fscached
