// SIGHUP: the program file this keeper was started from takes its place, with the images that are mounted. It
// is asked first whether it can; then the worker saves and ends, and the keeper becomes the other program,
// whose start finds everything as after a death (take_over.cpp).
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "erofs-format/base/log.h"
#include "fscached/fault_point.h"
#include "fscached/keeper/exec_words.h"
#include "fscached/keeper/keeper.h"

namespace fscached::keeper {

namespace {

constexpr uint64_t kMaxCommandLine = 4 << 20;

void refuse(const Error& why) { log_line(LogLevel::error, "keeper", "not upgrading: " + why.message); }

Result<std::vector<std::string>> command_line() {
  TRY_ASSIGN(Buffer bytes, os::read_file("/proc/self/cmdline", kMaxCommandLine));
  std::vector<std::string> words;
  for (size_t at = 0; at < bytes.size(); at += words.back().size() + 1)
    words.emplace_back(reinterpret_cast<const char*>(bytes.data()) + at);
  return words;
}

[[noreturn]] void run_program(const std::string& program, std::vector<std::string>& words, int folder) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (fchdir(folder) == 0) execv(program.c_str(), exec_words(words).data());
  _exit(126);
}

// Its exit status; Code::io when it is ended or does not end.
Result<int> status_of(pid_t child, const std::string& program) {
  os::UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd ended = {handle.get(), POLLIN, 0};
  if (poll(&ended, 1, kTryProgramMs) <= 0) kill(child, SIGKILL);
  int status = 0;
  if (waitpid(child, &status, 0) == child && WIFEXITED(status)) return WEXITSTATUS(status);
  return make_error(Code::io, program + ": does not end when asked");
}

}  // namespace

// Not the program that runs, with the settings of now: what does not work must not replace what does.
Result<void> Keeper::try_program() const {
  TRY_ASSIGN(auto words, command_line());
  words.insert(words.begin() + 1,
               {kTakeOverCheck, std::to_string(kStateVersion), options_.root, mechanism_->name()});
  pid_t child = fork();
  if (child < 0) return errno_error("fork");
  if (child == 0) run_program(program_, words, started_in_.get());
  TRY_ASSIGN(int status, status_of(child, program_));
  if (status == kTakesOver) return {};
  return make_error(Code::unsupported,
                    fmt::format("{}: cannot take over, its status is {}", program_, status));
}

void Keeper::begin_upgrade() {
  if (upgrading_) return;
  auto works = try_program();
  if (!works) return refuse(works.error());
  log_line(LogLevel::info, "keeper", "upgrading to " + program_);
  upgrading_ = true;
  upgrade_deadline_ = Clock::now() + std::chrono::milliseconds(kHandOverMs);
  Message message;
  message.op = Op::hand_over;
  send(message);
  hand_over();
}

// Whatever becomes of the worker: without it we go on.
void Keeper::hand_over() {
  if (!upgrading_) return;
  if (worker_ < 0) return upgrade();
  if (Clock::now() > upgrade_deadline_) kill(worker_, SIGKILL);
}

// The worker has ended.
void Keeper::upgrade() {
  upgrading_ = false;
  restart_delay_ms_ = 0;
  restart_at_ = Clock::now();
  fault_point(99);
  auto words = command_line();
  if (!words) return refuse(words.error());
  if (fchdir(started_in_.get()) != 0) return refuse(errno_error("the folder it was started in"));
  Error failed = store_.become(program_, std::move(*words));
  if (fchdir(root_.get()) != 0) failed = errno_error(options_.root);
  refuse(failed);
}

}  // namespace fscached::keeper
