#include "fscached/keeper/keeper.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "erofs-format/base/log.h"
#include "fscached/fault_point.h"
#include "fscached/keeper/notify.h"
#include "fscached/keeper/worker_process.h"
#include "fscached/storage/blob_file.h"

namespace fscached::keeper {

namespace {

constexpr std::string_view kComponent = "keeper";
constexpr int kStopStepMs = 20;

void warn(const std::string& message) { log_line(LogLevel::warn, kComponent, message); }
void info(const std::string& message) { log_line(LogLevel::info, kComponent, message); }

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  return fmt::format("exited with status {}", WEXITSTATUS(status));
}

}  // namespace

// --- the worker's life ------------------------------------------------------

Result<void> Keeper::spawn() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return errno_error("keeper: socketpair");
  socket_ = os::UniqueFd(ends[0]);
  os::UniqueFd theirs(ends[1]);
  // A worker that takes nothing for so long is broken: sending fails and it is replaced.
  timeval patience = {10, 0};
  int buffer = 4 << 20;
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
  WorkerDescriptors descriptors = {theirs.get(), mechanism_->kernel_descriptor(),
                                   mechanism_->journal_descriptor(), listener_.get(), root_.get()};
  TRY_ASSIGN(worker_, start_worker(descriptors, options_.user, options_.worker_arguments));
  theirs.reset();
  ready_ = false;
  fault_point(80);
  worker_handle_.reset(static_cast<int>(syscall(SYS_pidfd_open, worker_, 0)));
  store_.keep(kWorkerName, worker_handle_.get());
  fault_point(81);
  return introduce();
}

// What a successor has to know of what its predecessors did.
Result<void> Keeper::introduce() {
  TRY(mechanism_->introduce(socket_.get()));
  for (auto& [id, mount] : mounts_) {
    Message message;
    message.op = Op::restored_mount;
    message.id = id;
    message.attributes = mount.record.attributes;
    message.flags = mount.record.unmounted ? uint32_t{kLingers} : 0;
    put_text(message.path, mount.mountpoint());
    put_text(message.fsid, text_of(mount.record.fsid));
    put_text(message.domain, text_of(mount.record.domain));
    TRY(send_message(socket_.get(), message));
  }
  Message end;
  end.op = Op::restored_end;
  end.id = last_mount_;
  return send_message(socket_.get(), end);
}

void Keeper::worker_ended(int status) {
  worker_ = -1;
  store_.drop(kWorkerName);
  fault_point(82);
  worker_handle_.reset();
  socket_.reset();
  drop_pending();
  mechanism_->worker_ended();
  if (stop_sent_) {
    finished_ = true;
    return;
  }
  if (upgrading_) return upgrade();
  // A worker that had come to life is replaced at once; one that cannot start must not spin.
  restart_delay_ms_ =
      ready_ ? 0 : std::clamp(restart_delay_ms_ * 2, kRestartDelayFirstMs, kRestartDelayMaxMs);
  restart_at_ = Clock::now() + std::chrono::milliseconds(restart_delay_ms_);
  warn(fmt::format("the worker {}; the next starts in {} ms", how_it_ended(status), restart_delay_ms_));
  release_files();
}

void Keeper::reap() {
  int status = 0;
  for (pid_t child = 0; (child = waitpid(-1, &status, WNOHANG)) > 0;)
    if (child == worker_) worker_ended(status);
}

// --- the loop ----------------------------------------------------------------

Result<void> Keeper::run() {
  for (;;) {
    if (worker_ < 0 && Clock::now() >= restart_at_) {
      auto spawned = spawn();
      if (!spawned) warn(spawned.error().message);  // its end is seen by reap() if it started at all
      if (worker_ < 0) restart_at_ = Clock::now() + std::chrono::milliseconds(kRestartDelayMaxMs);
    }
    wait_for_events();
    reap();
    if (finished_) break;
    sweep();
    hand_over();
    advance_stop();
    if (finished_) break;
  }
  unlink(options_.socket.c_str());
  store_.drop_all();
  return {};
}

int Keeper::next_timeout() const {
  if (stopping_ || upgrading_) return kStopStepMs;
  if (worker_ >= 0) return kKeeperTickMs;
  auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(restart_at_ - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, kKeeperTickMs));
}

void Keeper::wait_for_events() {
  std::vector<pollfd> polls = {{signals_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
  std::vector<uint32_t> mountings;
  for (auto& [id, mount] : mounts_) {
    if (!mount.pending()) continue;
    polls.push_back({mount.mounting.report.get(), POLLIN, 0});
    mountings.push_back(id);
  }
  if (poll(polls.data(), polls.size(), next_timeout()) < 0) return;
  for (size_t i = 0; i < mountings.size(); i++)
    if (polls[i + 2].revents != 0 || Clock::now() >= mounts_[mountings[i]].deadline)
      mounting_done(mountings[i]);
  if (polls[0].revents & POLLIN) on_signal();
  if (polls[1].revents != 0) on_message();
}

void Keeper::on_signal() {
  signalfd_siginfo signal = {};
  if (read(signals_.get(), &signal, sizeof(signal)) != static_cast<ssize_t>(sizeof(signal))) return;
  if (signal.ssi_signo == SIGCHLD || stopping_) return;
  if (signal.ssi_signo == SIGHUP) return begin_upgrade();
  info("stopping: unmounting everything");
  notify("STOPPING=1");
  stopping_ = true;
  upgrading_ = false;
  stop_deadline_ = Clock::now() + std::chrono::milliseconds(kReleaseWaitMs);
}

void Keeper::on_message() {
  auto received = receive_message(socket_.get());
  if (received) return handle(received->message);
  // It closed the socket: it died, which reap() is told by the kernel, or it is beyond help.
  if (worker_ > 0) kill(worker_, SIGKILL);
  socket_.reset();
}

void Keeper::handle(const Message& message) {
  switch (message.op) {
    case Op::ready:
      ready_ = true;
      restart_delay_ms_ = 0;
      if (!announced_) notify("READY=1\nSTATUS=serving");
      announced_ = true;
      return;
    case Op::attach: return reply_failure(message.request, attach(message));
    case Op::set_mark: return reply(message.request, mechanism_->set_mark(message));
    case Op::let_go: {
      mechanism_->let_go(message.id);
      return release_files();
    }
    case Op::mount: return reply_failure(message.request, mount(message));
    case Op::unmount: return reply(message.request, unmount(message));
    case Op::open_blob: return reply_failure(message.request, open_blob(message));
    case Op::forget: return reply(message.request, forget(message));
    default: warn(fmt::format("the worker sent a message of kind {}", static_cast<uint32_t>(message.op)));
  }
}

void Keeper::send(const Message& message, int descriptor) {
  if (!socket_.valid()) return;
  auto sent = send_message(socket_.get(), message, descriptor);
  if (sent || worker_ < 0) return;
  warn(sent.error().message);
  kill(worker_, SIGKILL);
}

void Keeper::reply(uint32_t request, const Result<void>& result, Message answer, int descriptor) {
  answer.op = Op::reply;
  answer.request = request;
  if (!result) fail_message(answer, result.error());
  send(answer, descriptor);
}

// Of what answers by itself when it succeeds, now or later.
void Keeper::reply_failure(uint32_t request, const Result<void>& result) {
  if (!result) reply(request, result);
}

// --- what the worker asks for ------------------------------------------------

Result<void> Keeper::attach(const Message& message) {
  int descriptor = -1;
  TRY_ASSIGN(Message answer, mechanism_->attach(message, &descriptor));
  reply(message.request, {}, answer, descriptor);
  return {};
}

Result<void> Keeper::mount(const Message& message) {
  if (stopping_) return make_error(Code::cancelled, "the daemon is stopping");
  if (mounts_.count(message.id) || message.file_count > kMaxFiles)
    return make_error(Code::invalid_argument, fmt::format("mount {}: bad request", message.id));
  Mount mount;
  mount.record.id = message.id;
  put_text(mount.record.mountpoint, text_of(message.path));
  put_text(mount.record.fsid, text_of(message.fsid));
  put_text(mount.record.domain, text_of(message.domain));
  mount.record.attributes = message.attributes;
  mount.record.file_count = message.file_count;
  std::copy_n(message.files, message.file_count, mount.record.files);
  mount.request = message.request;
  TRY(state_->set_last_mount(std::max(last_mount_, message.id)));
  TRY_ASSIGN(MountPlan plan, mechanism_->plan(message));
  TRY_ASSIGN(mount.mounting, start_mounting(plan, message.attributes, text_of(message.canary)));
  mount.hold = std::move(plan.hold);
  mount.deadline = Clock::now() + std::chrono::milliseconds(kMountTimeoutMs);
  last_mount_ = std::max(last_mount_, message.id);
  mounts_.emplace(message.id, std::move(mount));
  return {};
}

// Only now, with its answers proved, others may see the mount.
void Keeper::mounting_done(uint32_t id) {
  Mount& mount = mounts_[id];
  uint32_t request = mount.request;
  auto made = finish_mounting(mount.mounting);
  fault_point(83);
  Result<void> shown = made ? show(mount, made->descriptor.get()) : Result<void>(Error(made.error()));
  if (!shown) forget_mount(id);
  reply(request, shown, made ? made->message : Message{});
}

Result<void> Keeper::show(Mount& mount, int descriptor) {
  TRY_ASSIGN(mount.record.kernel_id, mount_id_of(descriptor, ""));
  TRY(state_->put(mount.record, mount.hold->descriptor()));
  if (mount.kept()) return {};
  fault_point(84);
  TRY(show_mount(descriptor, mount.mountpoint()));
  fault_point(85);
  return {};
}

Result<void> Keeper::unmount(const Message& message) {
  auto found = mounts_.find(message.id);
  if (found == mounts_.end() || found->second.pending() || found->second.kept())
    return make_error(Code::not_found, fmt::format("mount {}: unknown", message.id));
  MountRecord& record = found->second.record;
  TRY(remove_mount(found->second.mountpoint(), record.kernel_id));
  fault_point(86);
  record.unmounted = 1;
  return state_->put(record);
}

Result<void> Keeper::forget(const Message& message) {
  auto found = mounts_.find(message.id);
  if (found == mounts_.end() || !found->second.kept())
    return make_error(Code::not_found, fmt::format("image {}: unknown", message.id));
  if (found->second.hold->superblock_lives()) return errno_error("it is mounted", EBUSY);
  forget_mount(message.id);
  return {};
}

// Folders only root may enter. What root owns and what is called like a blob, and nothing else: a worker that
// was taken over reads no other file of the host through us.
Result<void> Keeper::open_blob(const Message& message) {
  std::string folder = text_of(message.path), blob(message.blob, kBlobIdLength);
  TRY_ASSIGN(os::UniqueFd file, open_blob_file(folder, blob));
  TRY_ASSIGN(struct stat status, os::stat_of(file.get(), folder + "/" + blob));
  if (status.st_uid != 0) return errno_error(folder + "/" + blob, EACCES);
  reply(message.request, {}, {}, file.get());
  return {};
}

// --- what the kernel let go ---------------------------------------------------

// Without the worker that asked for them nobody would learn of these mounts.
void Keeper::drop_pending() {
  std::vector<uint32_t> pending;
  for (auto& [id, mount] : mounts_)
    if (mount.pending()) pending.push_back(id);
  for (uint32_t id : pending) {
    [[maybe_unused]] auto dropped = finish_mounting(mounts_[id].mounting);
    forget_mount(id);
  }
}

void Keeper::sweep() {
  std::vector<uint32_t> gone;
  for (auto& [id, mount] : mounts_)
    if (!mount.pending() && !mount.kept() && !mount.hold->superblock_lives()) gone.push_back(id);
  for (uint32_t id : gone) {
    forget_mount(id);
    Message message;
    message.op = Op::gone_mount;
    message.id = id;
    send(message);
  }
  release_files();
}

void Keeper::forget_mount(uint32_t id) {
  mounts_.erase(id);
  fault_point(87);
  state_->remove_mount(id);
}

void Keeper::release_files() {
  for (uint32_t id : mechanism_->release_unused()) {
    Message message;
    message.op = Op::released_file;
    message.id = id;
    send(message);
  }
}

// --- the end -------------------------------------------------------------------

bool Keeper::unmount_all() {
  std::string busy;
  auto each = [&](auto action) {
    for (auto& [id, mount] : mounts_) {
      if (mount.pending() || mount.kept() || mount.record.unmounted) continue;
      auto done = action(mount);
      if (!done) busy += (busy.empty() ? "" : "; ") + done.error().message;
    }
  };
  // All or nothing: a stop that is refused leaves what is idle mounted.
  each([](const Mount& mount) { return check_idle(mount.mountpoint(), mount.record.kernel_id); });
  if (busy.empty())
    each([this](Mount& mount) -> Result<void> {
      TRY(remove_mount(mount.mountpoint(), mount.record.kernel_id));
      mount.record.unmounted = 1;
      return state_->put(mount.record);
    });
  if (!busy.empty()) refuse_stop(busy);
  return busy.empty();
}

// Of images that are not mounted by us any more, or never were.
std::string Keeper::still_alive() {
  std::string names;
  for (auto& [id, mount] : mounts_) {
    if (mount.kept() && !mount.hold->superblock_lives()) continue;
    names += names.empty() ? "" : "; ";
    names += mount.kept() ? shown_at(*mount.hold, id)
                          : mount.mountpoint() + ": lives on in another mount namespace or open file";
  }
  return names;
}

std::string Keeper::shown_at(const Hold& hold, uint32_t id) {
  std::string places;
  if (auto mounts = mounted_erofs())
    for (const MountedErofs& mount : *mounts)
      if (hold.is_shown_by(mount)) places += (places.empty() ? "" : ", ") + mount.mountpoint;
  if (places.empty()) places = "another mount namespace or open file";
  return fmt::format("image {}, which was added: is mounted at {}", id, places);
}

// A worker that hangs may be all that keeps them alive.
bool Keeper::replace_for_stop() {
  if (!mechanism_->ends_through_worker() || replaced_for_stop_ || worker_ < 0) return false;
  replaced_for_stop_ = true;
  stop_deadline_ = Clock::now() + std::chrono::milliseconds(kReplacementWaitMs);
  warn("the worker does not end: killed");
  kill(worker_, SIGKILL);
  return true;
}

// Letting go of the kernel's descriptor now would give readers zeros or errors.
void Keeper::refuse_stop(const std::string& why) {
  stopping_ = replaced_for_stop_ = false;
  warn("not stopping, readers would be failed: " + why);
  notify("STATUS=asked to stop, but images are in use: " + why);
}

// Nothing is mounted any more: no reader waits for it, and presence it did not save is checked next time.
void Keeper::enforce_worker_stop() {
  if (worker_ < 0 || Clock::now() <= stop_deadline_) return;
  warn("the worker does not end: killed");
  kill(worker_, SIGKILL);
  stop_deadline_ = Clock::time_point::max();
}

void Keeper::advance_stop() {
  if (!stopping_) return;
  if (stop_sent_) return enforce_worker_stop();
  drop_pending();
  if (!unmount_all()) return;
  sweep();
  std::string alive = still_alive();
  if (!alive.empty()) {
    if (Clock::now() > stop_deadline_ && !replace_for_stop()) refuse_stop(alive);
    return;
  }
  release_files();
  if (worker_ < 0) {
    finished_ = true;
    return;
  }
  Message message;
  message.op = Op::stop;
  send(message);
  stop_sent_ = true;
  stop_deadline_ = Clock::now() + std::chrono::milliseconds(kWorkerStopTimeoutMs);
}

}  // namespace fscached::keeper
