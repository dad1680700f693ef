// The privileged parent. It holds what the kernel must never lose (the fanotify group, the
// journal, the data files), does what needs privilege (marks, mounts), and restarts the worker. It
// parses nothing from outside and speaks to no network.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/keeper/data_files.h"
#include "fscached/keeper/mounting.h"
#include "fscached/keeper/wire.h"

namespace fscached::keeper {

using Clock = std::chrono::steady_clock;

struct KeeperOptions {
  std::string root;                           // absolute
  std::string socket;                         // path of the control socket
  std::vector<std::string> worker_arguments;  // passed through
};

// One superblock of ours.
struct Mount {
  std::string mountpoint;
  uint64_t attributes = 0;
  uint64_t kernel_id = 0;  // of the mount, when shown
  os::UniqueFd bootstrap;  // nobody else has it open = the kernel let the superblock go
  std::vector<uint32_t> files;
  bool unmounted = false;
  // While the canary runs:
  os::UniqueFd hidden;
  Canary canary;
  uint32_t request = 0;
  Clock::time_point deadline;
  bool pending() const { return canary.child > 0; }
};

class Keeper {
 public:
  // Prepares everything but the worker.
  static Result<Keeper> create(KeeperOptions options);
  // Runs until a stop was asked for and nothing is mounted any more.
  Result<void> run();

 private:
  explicit Keeper(KeeperOptions options);
  Result<void> prepare_root();
  Result<void> open_group();
  Result<void> listen();

  Result<void> spawn();
  Result<void> introduce();
  void worker_ended(int status);
  void reap();

  void wait_for_events();
  int next_timeout() const;
  void on_signal();
  void on_message();
  void handle(const Message& message);
  Result<void> attach(const Message& message);
  Result<void> mount(const Message& message);
  Result<void> unmount(const Message& message);
  void let_go(uint32_t id);
  void reply(uint32_t request, const Result<void>& result, Message answer = {}, int descriptor = -1);
  void send(const Message& message, int descriptor = -1);

  void canary_done(uint32_t id);
  Result<void> show(Mount& mount);
  void drop_mount(uint32_t id);
  void drop_pending();
  void sweep();
  void release_files();
  void advance_stop();
  void enforce_worker_stop();
  bool unmount_all();
  void refuse_stop(const std::string& why);

  KeeperOptions options_;
  os::UniqueFd lock_;
  os::UniqueFd root_;
  os::UniqueFd group_;
  os::UniqueFd journal_;
  os::UniqueFd listener_;
  os::UniqueFd signals_;
  os::UniqueFd socket_;
  DataFiles files_{-1};
  std::map<uint32_t, Mount> mounts_;
  uint32_t last_mount_ = 0;

  pid_t worker_ = -1;
  bool ready_ = false;      // this worker answered
  bool announced_ = false;  // READY was sent
  uint64_t restart_delay_ms_ = 0;
  Clock::time_point restart_at_;
  bool stopping_ = false;
  bool stop_sent_ = false;
  bool finished_ = false;
  Clock::time_point stop_deadline_;  // of the kernel to let go, then of the worker to end
};

}  // namespace fscached::keeper
