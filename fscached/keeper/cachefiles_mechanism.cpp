// cachefiles: the bound device. Mounts name an fsid, not a file; the cache belongs to the kernel.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fscached/keeper/leftovers.h"
#include "fscached/keeper/mechanism.h"
#include "fscached/keeper/probe.h"
#include "fscached/kernel/cache_command.h"
#include "fscached/kernel/cachefiles_abi.h"
#include "fscached/kernel/when_free.h"
#include "fscached/limits.h"

namespace fscached::keeper {

namespace {

// A superblock has its bootstrap's file in use.
class CookieHold final : public Hold {
 public:
  CookieHold(int device, CookieName bootstrap) : device_(device), bootstrap_(std::move(bootstrap)) {}
  bool superblock_lives() override {
    auto in_use = cache_file_in_use(device_, kCachefilesFolder, bootstrap_);
    // In doubt it lives: somebody may read.
    return !in_use || *in_use;
  }
  bool is_shown_by(const MountedErofs& mount) const override {
    return ("," + mount.options + ",").find(",fsid=" + bootstrap_.cookie + ",") != std::string::npos;
  }

 private:
  int device_;
  CookieName bootstrap_;
};

class CachefilesMechanism final : public Mechanism {
 public:
  explicit CachefilesMechanism(os::UniqueFd device) : device_(std::move(device)) {}
  const char* name() const override { return "cachefiles"; }
  int kernel_descriptor() const override { return device_.get(); }
  // It has to read that the file was closed.
  bool ends_through_worker() const override { return true; }
  Result<MountPlan> plan(const Message& message) override;
  Result<std::unique_ptr<Hold>> hold_again(const MountRecord& mount, os::UniqueFd kept) override;

 private:
  os::UniqueFd device_;
};

Result<MountPlan> CachefilesMechanism::plan(const Message& message) {
  std::string fsid = text_of(message.fsid), domain = text_of(message.domain);
  TRY(check_cookie_word("fsid", fsid));
  MountPlan plan;
  plan.link_first = true;
  plan.parameters.emplace_back("fsid", fsid);
  if (!domain.empty()) {
    TRY(check_cookie_word("domain", domain));
    plan.parameters.emplace_back("domain_id", domain);
  }
  plan.hold = std::make_unique<CookieHold>(device_.get(), CookieName{volume_key(fsid, domain), fsid});
  return plan;
}

Result<std::unique_ptr<Hold>> CachefilesMechanism::hold_again(const MountRecord& mount, os::UniqueFd) {
  std::string fsid = text_of(mount.fsid);
  return std::unique_ptr<Hold>(
      std::make_unique<CookieHold>(device_.get(), CookieName{volume_key(fsid, text_of(mount.domain)), fsid}));
}

Result<void> command(const os::UniqueFd& device, const std::string& line) {
  if (write(device.get(), line.data(), line.size()) < 0) return errno_error("cachefiles: " + line);
  return {};
}

// Each is checked against the two others as they stand: this order never passes through a wrong state.
Result<void> set_limits(const os::UniqueFd& device, char kind, const SpaceLimits& limits) {
  TRY(command(device, fmt::format("{}stop 0%", kind)));
  TRY(command(device, fmt::format("{}run 99%", kind)));
  TRY(command(device, fmt::format("{}cull {}%", kind, limits.cull)));
  TRY(command(device, fmt::format("{}run {}%", kind, limits.run)));
  return command(device, fmt::format("{}stop {}%", kind, limits.stop));
}

Result<void> bind_cache(const os::UniqueFd& device, const std::string& root, const CacheLimits& limits,
                        const WorkerUser& user) {
  TRY(set_limits(device, 'b', limits.blocks));
  TRY(set_limits(device, 'f', limits.files));
  TRY(command(device, fmt::format("dir {}/{}", root, kCachefilesFolder)));
  TRY(command(device, "tag fscached"));
  // The kernel works in the cache as who binds it.
  AsWorkerUser owner(user);
  auto bound = command(device, "bind ondemand");
  if (bound) return {};
  int error = bound.error().sys_errno;
  if (error == EOPNOTSUPP)
    return std::move(bound).error().within(
        root + ": its file system cannot back the cache (ext4, XFS and btrfs can)");
  if (error == EINVAL) return std::move(bound).error().within("CACHEFILES_ONDEMAND in this kernel?");
  return bound;
}

// Only one daemon can have the device: who mounted by fsid before is dead, and with it the cache of its
// mounts.
bool is_of_cachefiles(const MountedErofs& mount) { return mount.options.find(",fsid=") != std::string::npos; }

Result<void> check_device(int device) {
  struct stat found = {}, wanted = {};
  if (fstat(device, &found) == 0 && stat(abi::kCachefilesDevice, &wanted) == 0 && S_ISCHR(found.st_mode) &&
      found.st_rdev == wanted.st_rdev)
    return {};
  return make_error(Code::corrupt,
                    std::string("descriptor store: 'kernel' is not ") + abi::kCachefilesDevice);
}

}  // namespace

// It is bound: nothing but a worker is missing.
Result<std::unique_ptr<Mechanism>> take_over_cachefiles(KeeperState& state) {
  os::UniqueFd device = state.store().take(kKernelName);
  TRY(check_device(device.get()));
  return std::unique_ptr<Mechanism>(std::make_unique<CachefilesMechanism>(std::move(device)));
}

Result<std::unique_ptr<Mechanism>> open_cachefiles(const std::string& root, const CacheLimits& limits,
                                                   const WorkerUser& user, KeeperState& state) {
  TRY(probe_fsid_option());
  // Writes that were under way when a worker was killed hold the device until they are done.
  TRY_ASSIGN(os::UniqueFd device, when_free(open_cachefiles_device));
  TRY(detach_leftovers(is_of_cachefiles, "saw errors"));
  TRY(give_folder(kCachefilesFolder, user));
  TRY(give_folder("presence", user));
  TRY(bind_cache(device, root, limits, user));
  state.store().keep(kKernelName, device.get());
  return std::unique_ptr<Mechanism>(std::make_unique<CachefilesMechanism>(std::move(device)));
}

}  // namespace fscached::keeper
