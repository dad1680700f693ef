// mkfs.nydus-erofs: picks the command, runs it, says what went wrong.
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "erofs-format/base/version.h"
#include "mkfs/commands.h"

namespace {

using namespace mkfs;

constexpr std::string_view kOwnName = "mkfs.nydus-erofs";
constexpr std::string_view kNydusImage = "nydus-image";
// What nydus-image has and this program does not yet.
constexpr std::string_view kNotYet[] = {"compact"};
// Larger pieces of memory go back to the system when they are freed.
constexpr int kMmapThreshold = 1 << 20;

const Command* const kCommands[] = {&kCreateCommand,    &kMergeCommand,    &kConvertCommand, &kCheckCommand,
                                    &kInspectCommand,   &kStatCommand,     &kUnpackCommand,  &kExportCommand,
                                    &kChunkdictCommand, &kOptimizeCommand, &kDumpCommand};

const Command* find_command(std::string_view name) {
  for (const Command* command : kCommands)
    if (command->name == name) return command;
  return nullptr;
}

int report(std::string_view program, const Error& error) {
  std::fputs(fmt::format("{}: {}\n", program, error.message).c_str(), stderr);
  if (error.exit_code == 2 && error.code == Code::invalid_argument)
    std::fputs(fmt::format("Try '{} --help'.\n", program).c_str(), stderr);
  return error.exit_code;
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::string forms(std::string_view program) {
  std::string text;
  for (const Command* command : kCommands)
    text +=
        fmt::format("  {} {} {}\n      {}\n", program, command->name, command->synopsis, command->summary);
  return text;
}

// nydus-image has no form without a command.
std::string overview(std::string_view program) {
  if (program == kNydusImage)
    return fmt::format("Usage: {} [OPTIONS] COMMAND\n\nCommands (each with its own --help):\n{}", program,
                       forms(program));
  return help_text(program, kDefaultCommand) + "\nOther forms (each with its own --help):\n" + forms(program);
}

bool asks_for(const std::vector<std::string>& words, std::string_view name, std::string_view short_name) {
  for (const auto& word : words) {
    if (word == "--") return false;
    if (word == name || word == short_name) return true;
  }
  return false;
}

Result<void> set_level(const Arguments& arguments) {
  static constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
      {"error", LogLevel::error}, {"warn", LogLevel::warn},   {"info", LogLevel::info},
      {"debug", LogLevel::debug}, {"trace", LogLevel::debug},
  };
  auto given = arguments.value("log-level");
  if (!given) return {};
  for (const auto& [name, level] : kLevels)
    if (name == *given) {
      set_log_level(level);
      return {};
    }
  return usage_error("--log-level: '" + *given + "' is not known");
}

// The file stays open to the end of the program.
Result<void> set_file(const Arguments& arguments) {
  auto path = arguments.value("log-file");
  if (!path) return {};
  TRY_ASSIGN(os::UniqueFd fd, os::open(*path, O_WRONLY | O_APPEND | O_CREAT, 0644));
  set_log_output(fd.release());
  return {};
}

// Words an option of logging takes with its value; 0 for any other word.
size_t log_option_words(std::string_view word) {
  if (word == "-l" || word == "-L" || word == "--log-level" || word == "--log-file") return 2;
  bool with_value = word.starts_with("-l") || word.starts_with("-L") || word.starts_with("--log-level=") ||
                    word.starts_with("--log-file=");
  return with_value ? 1 : 0;
}

// nydus-image takes these options before the command, too. They move behind it.
void put_command_first(std::vector<std::string>& words) {
  size_t at = 0;
  while (at < words.size() && log_option_words(words[at]) != 0) at += log_option_words(words[at]);
  if (at >= words.size()) return;
  auto command = words.begin() + static_cast<long>(at);
  std::rotate(words.begin(), command, command + 1);
}

// By which of its names the program was called.
std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1) == kNydusImage ? kNydusImage : kOwnName;
}

Result<void> run_command(const Command& command, const std::vector<std::string>& words) {
  TRY_ASSIGN(Arguments arguments, parse_arguments(command.options, words));
  TRY(set_level(arguments));
  TRY(set_file(arguments));
  return command.run(arguments);
}

bool comes_later(std::string_view name) {
  return std::find(std::begin(kNotYet), std::end(kNotYet), name) != std::end(kNotYet);
}

Error unknown_command(const std::string& name) {
  if (comes_later(name)) return make_error(Code::unsupported, "not supported yet: the command " + name);
  return usage_error("'" + printable(name) + "' is no command");
}

// `help`, and `help COMMAND`: the words become those of --help.
void turn_help_into_option(std::vector<std::string>& words) {
  if (words.empty() || words[0] != "help") return;
  words.erase(words.begin());
  words.push_back("--help");
}

int run_program(std::string_view program, std::vector<std::string> words) {
  bool as_nydus_image = program == kNydusImage;
  if (as_nydus_image) {
    put_command_first(words);
    turn_help_into_option(words);
    if (words.empty()) words.push_back("--help");
  }
  const Command* command = words.empty() ? nullptr : find_command(words[0]);
  if (command) words.erase(words.begin());
  if (asks_for(words, "--help", "-h")) {
    print(command ? help_text(program, *command) : overview(program));
    return 0;
  }
  if (!command && asks_for(words, "--version", "-V")) {
    print(version_text());
    return 0;
  }
  if (!command && (as_nydus_image || (!words.empty() && comes_later(words[0]))))
    return report(program, unknown_command(words[0]));
  auto result = run_command(command ? *command : kDefaultCommand, words);
  return result ? 0 : report(program, result.error());
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away is an error of the write, with a name, not a silent end.
  ::signal(SIGPIPE, SIG_IGN);
  os::remove_temporaries_on_signals();
  // glibc would raise it with the first large vector freed, and then keep what grew and was freed.
  ::mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  return run_program(name_of(argc > 0 ? argv[0] : kOwnName), std::move(words));
}
