// mkfs.nydus-erofs: picks the command, runs it, says what went wrong.
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "mkfs/commands.h"
#include "mkfs/output_json.h"

namespace {

using namespace mkfs;

constexpr std::string_view kProgram = "mkfs.nydus-erofs";
// Larger pieces of memory go back to the system when they are freed.
constexpr int kMmapThreshold = 1 << 20;

const Command* const kCommands[] = {&kCreateCommand,  &kMergeCommand, &kConvertCommand, &kCheckCommand,
                                    &kInspectCommand, &kStatCommand,  &kUnpackCommand,  &kDumpCommand};

const Command* find_command(std::string_view name) {
  for (const Command* command : kCommands)
    if (command->name == name) return command;
  return nullptr;
}

int report(const Error& error) {
  std::fputs(fmt::format("{}: {}\n", kProgram, error.message).c_str(), stderr);
  if (error.exit_code == 2 && error.code == Code::invalid_argument)
    std::fputs(fmt::format("Try '{} --help'.\n", kProgram).c_str(), stderr);
  return error.exit_code;
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::string overview() {
  std::string text = help_text(kProgram, kDefaultCommand) + "\nOther forms (each with its own --help):\n";
  for (const Command* command : kCommands)
    text +=
        fmt::format("  {} {} {}\n      {}\n", kProgram, command->name, command->synopsis, command->summary);
  return text;
}

std::string version_text() { return fmt::format("Version: {}\n", kProgramVersion); }

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

bool called_as_nydus_image(std::string_view program) {
  size_t slash = program.rfind('/');
  return program.substr(slash == program.npos ? 0 : slash + 1) == "nydus-image";
}

Result<void> run_command(const Command& command, const std::vector<std::string>& words) {
  TRY_ASSIGN(Arguments arguments, parse_arguments(command.options, words));
  TRY(set_level(arguments));
  return command.run(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away is an error of the write, with a name, not a silent end.
  ::signal(SIGPIPE, SIG_IGN);
  os::remove_temporaries_on_signals();
  // glibc would raise it with the first large vector freed, and then keep what grew and was freed.
  ::mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (argc > 0 && called_as_nydus_image(argv[0])) put_command_first(words);
  const Command* command = words.empty() ? nullptr : find_command(words[0]);
  if (command) words.erase(words.begin());
  if (asks_for(words, "--help", "-h")) {
    print(command ? help_text(kProgram, *command) : overview());
    return 0;
  }
  if (!command && asks_for(words, "--version", "-V")) {
    print(version_text());
    return 0;
  }
  auto result = run_command(command ? *command : kDefaultCommand, words);
  return result ? 0 : report(result.error());
}
