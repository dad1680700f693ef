// The process the snapshotter starts and ends: it has power and reads nothing foreign. README.md says which
// processes there are and why.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fscached/keeper/cache_owner.h"
#include "fscached/personality/launcher_wire.h"
#include "fscached/personality/nydusd_options.h"

namespace fscached {

// First word of the command line of the process that speaks HTTP; nydusd's own words follow.
inline constexpr char kApiCommand[] = "--api";

// Until SIGTERM, or until it was told to leave.
Result<void> run_launcher(NydusdOptions options);

class Launcher {
 public:
  static Result<void> run(NydusdOptions options, std::vector<std::string> words);
  ~Launcher();

 private:
  Launcher(NydusdOptions options, std::vector<std::string> words);
  Result<void> prepare();
  Result<void> listen();
  Result<void> show_folder();
  Result<void> start_api();
  Result<void> serve();
  void on_child_end();
  void on_request();
  Result<LauncherMessage> answer(const LauncherMessage& request, os::UniqueFd* descriptor);
  Result<os::UniqueFd> open_daemon(const std::string& root);
  Result<void> start_daemon(const std::string& root);
  Result<void> remove_mountpoint(const std::string& name);
  void stop();
  void stop_daemon(const std::string& root);

  NydusdOptions options_;
  std::vector<std::string> words_;
  keeper::WorkerUser user_;
  os::UniqueFd signals_, listener_, socket_;
  pid_t api_ = -1;
  bool leaving_ = false;
  bool stopping_ = false;
  bool made_folder_ = false;                   // a file system of ours is at the mountpoint
  std::map<std::string, os::UniqueFd> roots_;  // of daemons we use, each with its lock, shared
};

}  // namespace fscached
