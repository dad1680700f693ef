// From one keeper to the next: what the store holds of a predecessor, checked; or a beginning without it.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "erofs-format/base/log.h"
#include "fscached/fault_point.h"
#include "fscached/keeper/keeper.h"

namespace fscached::keeper {

namespace {

// cachefiles first: with it the kernel asks only for what is not there, and a daemon's death is no danger.
Result<std::unique_ptr<Mechanism>> choose_mechanism(const KeeperOptions& options, KeeperState& state) {
  if (options.backend == "fanotify") return open_fanotify(options.root, options.user, state);
  auto cachefiles = open_cachefiles(options.root, options.cache_limits, options.user, state);
  if (cachefiles || options.backend == "cachefiles") return cachefiles;
  auto fanotify = open_fanotify(options.root, options.user, state);
  if (fanotify) return fanotify;
  return make_error(Code::unsupported, fmt::format("no mechanism works here: cachefiles: {}; fanotify: {}",
                                                   cachefiles.error().message, fanotify.error().message));
}

bool same_file(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

Result<void> check_same_settings(const KeeperOptions& options, const std::string& root,
                                 const std::string& mechanism) {
  auto refuse = [](const std::string& now, const std::string& before) {
    return make_error(
        Code::invalid_argument,
        fmt::format("{}: the images that are mounted have {}; stop the daemon first", now, before));
  };
  if (root != options.root) return refuse(options.root, "another root, " + root);
  if (options.backend != "auto" && options.backend != mechanism)
    return refuse(options.backend, "another backend, " + mechanism);
  struct stat owned = {};
  if (stat((root + "/mounts").c_str(), &owned) == 0 && owned.st_uid != options.user.uid)
    return refuse(fmt::format("worker.user {}", options.user.uid), fmt::format("another, {}", owned.st_uid));
  return {};
}

// Readers wait for what the store holds: other settings must not cost them that.
Result<void> Keeper::find_predecessor() {
  if (!store_.has(kStateName)) return {};
  auto found = KeeperState::take_over(store_);
  if (!found) return lose(found.error());
  state_ = std::move(*found);
  return check_same_settings(options_, state_->root(), state_->mechanism());
}

Result<void> Keeper::lose(const Error& why) {
  log_line(LogLevel::error, "keeper",
           fmt::format("what the descriptor store holds cannot be used, all images are detached: {}",
                       why.message));
  mounts_.clear();
  mechanism_.reset();
  state_.reset();
  return {};
}

// Whose lock is in the store has left it to us.
Result<void> Keeper::lock_root() {
  TRY_ASSIGN(os::UniqueFd file, os::open("lock", O_RDWR | O_CREAT, 0600));
  TRY_ASSIGN(struct stat ours, os::stat_of(file.get(), "lock"));
  lock_ = store_.take(kLockName);
  auto theirs = os::stat_of(lock_.get(), "lock");
  if (theirs && same_file(ours, *theirs)) return {};
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return make_error(Code::invalid_argument, options_.root + ": another daemon uses this root");
  lock_ = std::move(file);
  store_.keep(kLockName, lock_.get());
  return {};
}

// One that outlived its keeper serves on until it is replaced; two would take each other's events.
Result<void> Keeper::end_old_worker() {
  os::UniqueFd old = store_.take(kWorkerName);
  if (!old.valid()) return {};
  syscall(SYS_pidfd_send_signal, old.get(), SIGKILL, nullptr, 0);
  pollfd ended = {old.get(), POLLIN, 0};
  if (poll(&ended, 1, kOldWorkerWaitMs) <= 0)
    return make_error(Code::internal, "the worker of the keeper before does not end");
  store_.drop(kWorkerName);
  return {};
}

Result<void> Keeper::open_mechanism() {
  if (state_)
    if (auto taken = take_over(); !taken) TRY(lose(taken.error()));
  if (!state_) TRY(begin_anew());
  options_.worker_arguments.push_back(fmt::format("backend={}", mechanism_->name()));
  return {};
}

Result<void> Keeper::take_over() {
  TRY_ASSIGN(mechanism_, state_->mechanism() == "fanotify" ? take_over_fanotify(options_.root, *state_)
                                                           : take_over_cachefiles(*state_));
  fault_point(97);
  TRY_ASSIGN(last_mount_, state_->last_mount());
  TRY_ASSIGN(auto records, state_->mounts());
  TRY_ASSIGN(auto shown, mounted_erofs());
  for (const MountRecord& record : records) {
    Mount& mount = mounts_[record.id];
    mount.record = record;
    TRY_ASSIGN(mount.hold, mechanism_->hold_again(record, state_->take_mount(record.id)));
    // Nobody waited to see it unmounted, or it was never shown.
    bool is_shown =
        std::any_of(shown.begin(), shown.end(), [&](const auto& one) { return one.id == record.kernel_id; });
    if (!mount.kept() && !is_shown) mount.record.unmounted = 1;
  }
  store_.drop_untaken();
  fault_point(98);
  log_line(LogLevel::info, "keeper", fmt::format("took over {} images", mounts_.size()));
  return {};
}

Result<void> Keeper::begin_anew() {
  store_.drop_all();
  store_.keep(kLockName, lock_.get());
  std::error_code ignored;  // what remains is replaced or in nobody's way
  std::filesystem::remove_all("mounts", ignored);
  std::filesystem::remove(kDetachedFile, ignored);
  TRY(give_folder("mounts", options_.user));
  TRY_ASSIGN(state_, KeeperState::create(store_, options_.root));
  TRY_ASSIGN(mechanism_, choose_mechanism(options_, *state_));
  return state_->publish(mechanism_->name());
}

}  // namespace fscached::keeper
