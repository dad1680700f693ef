#include "erofs-format/registry/credential_helper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "erofs-format/base/os.h"
#include "erofs-format/registry/limits.h"

namespace erofs_format::registry {
namespace {

constexpr std::string_view kNotFound = "credentials not found in native keychain";

struct Pipe {
  os::UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return errno_error("pipe");
  return Pipe{os::UniqueFd(ends[0]), os::UniqueFd(ends[1])};
}

// A program under way: what it says is read from `output`.
struct Process {
  pid_t id = -1;
  os::UniqueFd output;
};

Result<Process> start(const std::string& program, const std::string& input) {
  TRY_ASSIGN(Pipe in, make_pipe());
  TRY_ASSIGN(Pipe out, make_pipe());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  std::string name = program, command = "get";
  char* const words[] = {name.data(), command.data(), nullptr};
  Process process;
  int error = posix_spawnp(&process.id, name.c_str(), &actions, nullptr, words, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return errno_error(program, error);
  // A line fits into any pipe, and nobody needs to read it.
  TRY(os::write_all(in.write.get(), as_bytes(input), program));
  process.output = std::move(out.read);
  return process;
}

int left_ms(std::chrono::steady_clock::time_point end) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

Result<std::string> read_to_end(int fd, const std::string& program) {
  auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kHelperTimeoutMs);
  std::string text;
  Buffer piece(4096);
  for (;;) {
    pollfd watched = {fd, POLLIN, 0};
    int ready = poll(&watched, 1, left_ms(end));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0)
      return make_error(Code::timeout, fmt::format("{}: no answer after {} ms", program, kHelperTimeoutMs));
    TRY_ASSIGN(size_t bytes, os::read_some(fd, piece, program));
    if (bytes == 0) return text;
    text += as_text(ByteView(piece).first(bytes));
    if (text.size() > kMaxHelperAnswerBytes)
      return make_error(Code::too_large, program + ": too long an answer");
  }
}

// Its exit status; a program that was killed counts as failed.
int end(const Process& process, bool kill_it) {
  if (kill_it) kill(process.id, SIGKILL);
  int status = 0;
  while (waitpid(process.id, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

Result<Credential> ask_credential_helper(const std::string& name, const std::string& host) {
  std::string program = "docker-credential-" + name;
  TRY_ASSIGN(Process process, start(program, helper_server(host) + "\n"));
  Result<std::string> said = read_to_end(process.output.get(), program);
  int status = end(process, !said);
  TRY(said);
  if (status == 0) return parse_helper_answer(*said, program);
  if (said->find(kNotFound) != std::string::npos) return Credential{};
  return make_error(Code::auth, fmt::format("{}: exit status {} for {}", program, status, host));
}

}  // namespace erofs_format::registry
