// mkfs.nydus-erofs: picks the command, runs it, says what went wrong.
#include <cstdio>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "mkfs/commands.h"

namespace {

using namespace mkfs;

const Command* const kCommands[] = {&kMergeCommand,  &kDumpCommand,    &kCheckCommand,
                                    &kUnpackCommand, &kInspectCommand, &kStatCommand};

const Command* find_command(std::string_view name) {
  for (const Command* command : kCommands)
    if (command->name == name) return command;
  return nullptr;
}

int report(const Error& error) {
  std::fprintf(stderr, "mkfs.nydus-erofs: %s\n", error.message.c_str());
  return error.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  os::remove_temporaries_on_signals();
  std::vector<std::string> words(argv + 1, argv + argc);
  const Command* command = words.empty() ? nullptr : find_command(words[0]);
  if (!command) return report(usage_error("no such command"));
  words.erase(words.begin());
  auto arguments = parse_arguments(command->options, words);
  if (!arguments) return report(arguments.error());
  auto result = command->run(*arguments);
  return result ? 0 : report(result.error());
}
