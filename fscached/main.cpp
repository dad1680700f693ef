// fscached: choose what to be, run it, report.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "fscached/control/commands.h"
#include "fscached/control/run_worker.h"
#include "fscached/keeper/keeper.h"
#include "fscached/keeper/worker_process.h"
#include "fscached/personality/api_process.h"
#include "fscached/personality/launcher.h"
#include "fscached/version.h"

namespace {

using namespace erofs_format;
using namespace fscached;

const Command* const kCommands[] = {&kServeCommand, &kMountCommand,    &kAddCommand,   &kUmountCommand,
                                    &kListCommand,  &kStatusCommand,   &kStatsCommand, &kFetchCommand,
                                    &kScrubCommand, &kRemoveCommand,   &kPruneCommand, &kDoctorCommand,
                                    &kFuseCommand,  &kSingletonCommand};

int report(const std::string& program, const Error& error) {
  fmt::print(stderr, "{}: {}\n", program, error.message);
  return error.exit_code;
}

std::string overview() {
  std::string text = "Usage: fscached COMMAND [OPTIONS]\n\n";
  for (const Command* command : kCommands)
    text += fmt::format("  {:8} {}\n", command->name, command->summary);
  return text + "\n`fscached COMMAND --help` tells more.\n";
}

int run_command(const std::string& program, const Command& command, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") break;
    if (word != "--help") continue;
    fmt::print("{}", help_text(program, command));
    return 0;
  }
  auto arguments = parse_arguments(command.options, words);
  if (!arguments) return report(program, arguments.error());
  auto result = command.run(*arguments);
  return result ? 0 : report(program, result.error());
}

int choose(const std::string& program, const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "help") {
    fmt::print(words.empty() ? stderr : stdout, "{}", overview());
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version") {
    fmt::print("fscached {}\n", kVersion);
    return 0;
  }
  for (const Command* command : kCommands)
    if (words[0] == command->name) return run_command(program, *command, {words.begin() + 1, words.end()});
  return report(program, usage_error("'" + printable(words[0]) + "' is no command; see --help"));
}

// What a snapshotter calls. -h and -V as clap has them.
int be_nydusd(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word != "--help" && word != "-h" && word != "--version" && word != "-V") continue;
    fmt::print("{}", word == "--help" || word == "-h" ? nydusd_help() : nydusd_version());
    return 0;
  }
  auto options = parse_nydusd(words);
  if (!options) return report("nydusd", options.error());
  auto ended = run_launcher(std::move(*options));
  return ended ? 0 : report("nydusd", ended.error());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  std::string program = argc > 0 ? os::base_name(argv[0]) : "fscached";
  if (!words.empty() && words[0] == keeper::kWorkerCommand) {
    auto ended = run_worker({words.begin() + 1, words.end()});
    if (!ended) log_line(LogLevel::error, "worker", ended.error().message);
    return 1;
  }
  if (!words.empty() && words[0] == kApiCommand) {
    auto ended = run_api({words.begin() + 1, words.end()});
    return ended ? 0 : report("nydusd", ended.error());
  }
  if (!words.empty() && words[0] == keeper::kTakeOverCheck)
    return check_take_over({words.begin() + 1, words.end()});
  if (program == "nydusd") return be_nydusd(words);
  if (program == "mount.nydus-erofs") return run_command(program, kMountHelper, words);
  return choose(program, words);
}
