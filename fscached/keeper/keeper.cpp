#include "fscached/keeper/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "erofs-format/base/log.h"
#include "fscached/keeper/notify.h"
#include "fscached/keeper/worker_process.h"

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
  WorkerDescriptors descriptors = {theirs.get(), group_.get(), journal_.get(), listener_.get(), root_.get()};
  TRY_ASSIGN(worker_, start_worker(descriptors, options_.worker_arguments));
  theirs.reset();
  ready_ = false;
  return introduce();
}

// What a successor has to know of what its predecessors did.
Result<void> Keeper::introduce() {
  for (auto& [id, file] : files_.all()) {
    Message message;
    message.op = Op::restored_file;
    message.id = id;
    message.size = file.size;
    message.device = file.device;
    message.inode = file.inode;
    message.flags = file.marked ? uint32_t{kMarked} : 0;
    file.blob.copy(message.blob, kBlobIdLength);
    TRY(send_message(socket_.get(), message, file.fd.get()));
  }
  for (auto& [id, mount] : mounts_) {
    Message message;
    message.op = Op::restored_mount;
    message.id = id;
    message.attributes = mount.attributes;
    message.flags = mount.unmounted ? uint32_t{kLingers} : 0;
    put_text(message.path, mount.mountpoint);
    TRY(send_message(socket_.get(), message));
  }
  Message end;
  end.op = Op::restored_end;
  end.id = last_mount_;
  return send_message(socket_.get(), end);
}

void Keeper::worker_ended(int status) {
  worker_ = -1;
  socket_.reset();
  drop_pending();
  for (auto& [id, file] : files_.all()) file.attached = 0;
  if (stop_sent_) {
    finished_ = true;
    return;
  }
  // A worker that had come to life is replaced at once; one that cannot start must not spin.
  restart_delay_ms_ =
      ready_ ? 0 : std::clamp(restart_delay_ms_ * 2, kRestartDelayFirstMs, kRestartDelayMaxMs);
  restart_at_ = Clock::now() + std::chrono::milliseconds(restart_delay_ms_);
  warn(fmt::format("the worker {}; the next starts in {} ms", how_it_ended(status), restart_delay_ms_));
  release_files();
}

void Keeper::reap() {
  int status = 0;
  if (worker_ > 0 && waitpid(worker_, &status, WNOHANG) == worker_) worker_ended(status);
}

// --- the loop ----------------------------------------------------------------

Result<void> Keeper::run() {
  TRY(spawn());
  while (!finished_) {
    wait_for_events();
    reap();
    if (finished_) break;
    if (worker_ < 0 && Clock::now() >= restart_at_) {
      auto spawned = spawn();
      if (!spawned) warn(spawned.error().message);  // its end is seen by reap() if it started at all
      if (worker_ < 0) restart_at_ = Clock::now() + std::chrono::milliseconds(kRestartDelayMaxMs);
    }
    sweep();
    advance_stop();
  }
  unlink(options_.socket.c_str());
  return {};
}

int Keeper::next_timeout() const {
  if (stopping_) return kStopStepMs;
  if (worker_ >= 0) return kKeeperTickMs;
  auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(restart_at_ - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, kKeeperTickMs));
}

void Keeper::wait_for_events() {
  std::vector<pollfd> polls = {{signals_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
  std::vector<uint32_t> canaries;
  for (auto& [id, mount] : mounts_) {
    if (!mount.pending()) continue;
    polls.push_back({mount.canary.result.get(), POLLIN, 0});
    canaries.push_back(id);
  }
  if (poll(polls.data(), polls.size(), next_timeout()) < 0) return;
  for (size_t i = 0; i < canaries.size(); i++)
    if (polls[i + 2].revents != 0 || Clock::now() >= mounts_[canaries[i]].deadline) canary_done(canaries[i]);
  if (polls[0].revents & POLLIN) on_signal();
  if (polls[1].revents != 0) on_message();
}

void Keeper::on_signal() {
  signalfd_siginfo signal = {};
  if (read(signals_.get(), &signal, sizeof(signal)) != static_cast<ssize_t>(sizeof(signal))) return;
  if (signal.ssi_signo == SIGCHLD) return;
  if (stopping_) return;
  info("stopping: unmounting everything");
  notify("STOPPING=1");
  stopping_ = true;
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
    case Op::attach: {
      auto attached = attach(message);
      if (!attached) reply(message.request, attached);
      return;
    }
    case Op::set_mark: return reply(message.request, files_.set_mark(message.id, message.flags & kMarked));
    case Op::let_go: return let_go(message.id);
    case Op::mount: {
      auto mounted = mount(message);
      if (!mounted) reply(message.request, mounted);
      return;
    }
    case Op::unmount: return reply(message.request, unmount(message));
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
  if (!result) {
    answer.error = result.error().sys_errno ? result.error().sys_errno : EINVAL;
    put_text(answer.path, result.error().message.substr(0, kMaxPath - 1));
  }
  send(answer, descriptor);
}

// --- what the worker asks for ------------------------------------------------

Result<void> Keeper::attach(const Message& message) {
  TRY_ASSIGN(uint32_t id, files_.attach(std::string_view(message.blob, kBlobIdLength), message.size));
  DataFile& file = *files_.find(id);
  Message answer;
  answer.id = id;
  answer.size = file.size;
  answer.device = file.device;
  answer.inode = file.inode;
  answer.flags = file.created ? uint32_t{kCreated} : 0;
  file.created = false;
  reply(message.request, {}, answer, file.fd.get());
  return {};
}

Result<void> Keeper::mount(const Message& message) {
  if (stopping_) return make_error(Code::cancelled, "the daemon is stopping");
  if (mounts_.count(message.id) || message.file_count > kMaxFiles)
    return make_error(Code::invalid_argument, fmt::format("mount {}: bad request", message.id));
  Mount mount;
  mount.mountpoint = text_of(message.path);
  mount.attributes = message.attributes;
  mount.request = message.request;
  std::string bootstrap = fmt::format("{}/mounts/{}/image.boot", options_.root, message.id);
  TRY_ASSIGN(mount.bootstrap, os::open(bootstrap, O_RDONLY | O_NOFOLLOW));
  std::vector<std::string> devices;
  for (uint32_t i = 0; i < message.file_count; i++) {
    DataFile* file = files_.find(message.files[i]);
    if (!file) return make_error(Code::not_found, fmt::format("data file {}: unknown", message.files[i]));
    devices.push_back(file->path);
    mount.files.push_back(message.files[i]);
  }
  TRY_ASSIGN(mount.hidden, make_mount(bootstrap, devices, message.attributes));
  std::string canary = text_of(message.canary);
  if (!canary.empty()) {
    TRY_ASSIGN(mount.canary, start_canary(mount.hidden.get(), canary));
  }
  mount.deadline = Clock::now() + std::chrono::milliseconds(kCanaryTimeoutMs);
  for (uint32_t file : mount.files) files_.find(file)->mounts++;
  last_mount_ = std::max(last_mount_, message.id);
  mounts_.emplace(message.id, std::move(mount));
  if (canary.empty()) canary_done(message.id);
  return {};
}

// Only now, with its answers proved, others may see the mount.
void Keeper::canary_done(uint32_t id) {
  Mount& mount = mounts_[id];
  CanaryResult canary = mount.pending() ? finish_canary(mount.canary) : CanaryResult{};
  Message answer;
  answer.text_size = canary.size;
  std::copy(canary.bytes.begin(), canary.bytes.end(), answer.text);
  Result<void> result = {};
  if (canary.error) result = errno_error("canary read of " + mount.mountpoint, canary.error);
  if (result) result = show(mount);
  mount.hidden.reset();
  uint32_t request = mount.request;
  if (!result) drop_mount(id);
  reply(request, result, answer);
}

Result<void> Keeper::show(Mount& mount) {
  TRY_ASSIGN(mount.kernel_id, mount_id_of(mount.hidden.get(), ""));
  return show_mount(mount.hidden.get(), mount.mountpoint);
}

Result<void> Keeper::unmount(const Message& message) {
  auto found = mounts_.find(message.id);
  if (found == mounts_.end() || found->second.pending())
    return make_error(Code::not_found, fmt::format("mount {}: unknown", message.id));
  TRY(remove_mount(found->second.mountpoint, found->second.kernel_id));
  found->second.unmounted = true;
  return {};
}

void Keeper::let_go(uint32_t id) {
  DataFile* file = files_.find(id);
  if (!file || file->attached == 0) return;
  file->attached--;
  release_files();
}

// --- what the kernel let go ---------------------------------------------------

void Keeper::drop_mount(uint32_t id) {
  auto found = mounts_.find(id);
  for (uint32_t file : found->second.files) files_.find(file)->mounts--;
  mounts_.erase(found);
}

// Without the worker that asked for them nobody would learn of these mounts.
void Keeper::drop_pending() {
  std::vector<uint32_t> pending;
  for (auto& [id, mount] : mounts_)
    if (mount.pending()) pending.push_back(id);
  for (uint32_t id : pending) {
    finish_canary(mounts_[id].canary);
    drop_mount(id);
  }
}

void Keeper::sweep() {
  std::vector<uint32_t> gone;
  for (auto& [id, mount] : mounts_)
    if (!mount.pending() && !held_by_others(mount.bootstrap.get())) gone.push_back(id);
  for (uint32_t id : gone) {
    drop_mount(id);
    Message message;
    message.op = Op::gone_mount;
    message.id = id;
    send(message);
  }
  if (!gone.empty()) release_files();
}

void Keeper::release_files() {
  std::vector<uint32_t> unused;
  for (auto& [id, file] : files_.all())
    if (file.attached == 0 && file.mounts == 0) unused.push_back(id);
  for (uint32_t id : unused) {
    if (!files_.release_if_unused(id)) continue;
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
      if (mount.pending() || mount.unmounted) continue;
      auto done = action(mount);
      if (!done) busy += (busy.empty() ? "" : "; ") + done.error().message;
    }
  };
  // All or nothing: a stop that is refused leaves what is idle mounted.
  each([](const Mount& mount) { return check_idle(mount.mountpoint, mount.kernel_id); });
  if (busy.empty())
    each([](Mount& mount) {
      auto removed = remove_mount(mount.mountpoint, mount.kernel_id);
      mount.unmounted = bool(removed);
      return removed;
    });
  if (!busy.empty()) refuse_stop(busy);
  return busy.empty();
}

// Closing the group now would let readers see holes as zeros.
void Keeper::refuse_stop(const std::string& why) {
  stopping_ = false;
  warn("not stopping, readers would see holes as zeros: " + why);
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
  if (!mounts_.empty()) {
    if (Clock::now() > stop_deadline_)
      refuse_stop(mounts_.begin()->second.mountpoint + ": lives on in another mount namespace or open file");
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
