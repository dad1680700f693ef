// The privileged parent. It holds what the kernel must never lose (mechanism.h), does what needs privilege
// (marks, mounts), and restarts the worker. It parses nothing from outside and speaks to no network.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"
#include "fscached/keeper/descriptor_store.h"
#include "fscached/keeper/keeper_state.h"
#include "fscached/keeper/mechanism.h"
#include "fscached/keeper/mounting.h"
#include "fscached/keeper/wire.h"

namespace fscached::keeper {

using Clock = std::chrono::steady_clock;

struct KeeperOptions {
  std::string root;     // absolute
  std::string socket;   // path of the control socket
  std::string backend;  // auto, or one mechanism's name
  CacheLimits cache_limits;
  WorkerUser user;
  std::vector<std::string> worker_arguments;  // passed through; the keeper adds which mechanism it is
};

// Whether these settings can go on with the images of a keeper that had this root and mechanism.
Result<void> check_same_settings(const KeeperOptions& options, const std::string& root,
                                 const std::string& mechanism);

// Before the words of a command line: STATE_VERSION, root and mechanism follow. A program that says it can go
// on from there ends with this status; nobody types it.
constexpr char kTakeOverCheck[] = "--takes-over";
constexpr int kTakesOver = 42;

// One image the kernel may ask about.
struct Mount {
  MountRecord record;
  std::unique_ptr<Hold> hold;
  // While it is being made:
  Mounting mounting;
  uint32_t request = 0;
  Clock::time_point deadline;
  bool pending() const { return mounting.child > 0; }
  std::string mountpoint() const { return text_of(record.mountpoint); }
  // Only proved, for whoever wants to mount it.
  bool kept() const { return !pending() && record.mountpoint[0] == 0; }
};

class Keeper {
 public:
  // Prepares everything but the worker.
  static Result<std::unique_ptr<Keeper>> create(KeeperOptions options);
  // Runs until a stop was asked for and nothing is mounted any more.
  Result<void> run();

 private:
  explicit Keeper(KeeperOptions options);
  Result<void> note_start();
  Result<void> find_predecessor();
  Result<void> lose(const Error& why);
  Result<void> prepare_root();
  Result<void> lock_root();
  Result<void> end_old_worker();
  Result<void> open_mechanism();
  Result<void> take_over();
  Result<void> begin_anew();
  Result<void> listen();
  Result<void> listen_anew(const std::string& path);

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
  Result<void> open_blob(const Message& message);
  Result<void> forget(const Message& message);
  void reply(uint32_t request, const Result<void>& result, Message answer = {}, int descriptor = -1);
  void reply_failure(uint32_t request, const Result<void>& result);
  void send(const Message& message, int descriptor = -1);

  void begin_upgrade();
  Result<void> try_program() const;
  void hand_over();
  void upgrade();

  void mounting_done(uint32_t id);
  Result<void> show(Mount& mount, int descriptor);
  void drop_pending();
  void sweep();
  void release_files();
  void forget_mount(uint32_t id);
  void advance_stop();
  void enforce_worker_stop();
  bool unmount_all();
  std::string still_alive();
  bool replace_for_stop();
  static std::string shown_at(const Hold& hold, uint32_t id);
  void refuse_stop(const std::string& why);

  KeeperOptions options_;
  DescriptorStore store_;
  os::UniqueFd lock_;
  os::UniqueFd root_;
  std::unique_ptr<KeeperState> state_;
  std::unique_ptr<Mechanism> mechanism_;
  os::UniqueFd listener_;
  os::UniqueFd signals_;
  os::UniqueFd socket_;
  std::map<uint32_t, Mount> mounts_;
  uint32_t last_mount_ = 0;

  pid_t worker_ = -1;
  os::UniqueFd worker_handle_;  // a pidfd: a successor finds it in the store
  bool ready_ = false;          // this worker answered
  bool announced_ = false;      // READY was sent
  uint64_t restart_delay_ms_ = 0;
  Clock::time_point restart_at_;
  std::string program_;      // the file this process was started from
  os::UniqueFd started_in_;  // what relative paths of its command line mean
  bool upgrading_ = false;   // the worker was told to hand over
  Clock::time_point upgrade_deadline_;
  bool stopping_ = false;
  bool stop_sent_ = false;
  bool replaced_for_stop_ = false;
  bool finished_ = false;
  Clock::time_point stop_deadline_;  // of the kernel to let go, then of the worker to end
};

}  // namespace fscached::keeper
