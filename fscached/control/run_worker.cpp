#include "fscached/control/run_worker.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <new>

#include "erofs-format/base/log.h"
#include "fscached/control/daemon.h"
#include "fscached/control/sandbox.h"
#include "fscached/control/server.h"
#include "fscached/keeper/worker_process.h"
#include "fscached/kernel/cachefiles.h"
#include "fscached/kernel/fanotify.h"
#include "fscached/log_level.h"

namespace fscached {

namespace {

constexpr unsigned kLoopSlots = 512;

Result<std::unique_ptr<KernelBackend>> open_backend(const std::string& name, KeeperLink& link) {
  if (name == "cachefiles") {
    TRY_ASSIGN(auto cachefiles, CachefilesBackend::create(keeper::kWorkerKernel));
    return std::unique_ptr<KernelBackend>(std::move(cachefiles));
  }
  TRY_ASSIGN(Journal journal, Journal::map(keeper::kWorkerJournal));
  TRY_ASSIGN(auto backend, FanotifyBackend::create(keeper::kWorkerKernel, std::move(journal), link));
  return std::unique_ptr<KernelBackend>(std::move(backend));
}

// In the middle of anything, on any thread. Nothing that is half done is gone on with: the next worker finds
// what this one had not answered in the journal, or gets it again from the kernel.
[[noreturn]] void end_without_memory() {
  constexpr char kLine[] = "error worker: out of memory: this worker ends, the next one goes on\n";
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, kLine, sizeof(kLine) - 1);
  _exit(1);
}

}  // namespace

Result<void> run_worker(const std::vector<std::string>& words) {
  std::set_new_handler(end_without_memory);
  // The keeper decides when the worker ends: after everything is unmounted.
  for (int ignored : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) signal(ignored, SIG_IGN);
  prctl(PR_SET_NAME, "fscached-worker");
  Config config;
  TRY(read_config_words(config, words));
  set_log_level(log_level_named(config.log_level));
  if (fchdir(keeper::kWorkerRoot) != 0) return errno_error("root");
  TRY(confine_files(keeper::kWorkerRoot));
  KeeperLink link(keeper::kWorkerSocket);
  // While no other descriptor is open: it reserves the numbers of unanswered events.
  TRY_ASSIGN(auto backend, open_backend(config.backend, link));
  TRY_ASSIGN(auto introduction, link.introduction());
  TRY_ASSIGN(auto loop, Loop::create(kLoopSlots));
  TRY(confine_calls());
  Daemon daemon(std::move(config), *loop, std::move(backend), link);
  daemon.restore(std::move(introduction));
  daemon.start();
  start_control_server(daemon, keeper::kWorkerListener);
  auto ended = loop->run();
  // Nothing may be torn down under the control threads.
  if (!ended) log_line(LogLevel::error, "daemon", ended.error().message);
  _exit(1);
}

}  // namespace fscached
