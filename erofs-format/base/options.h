// Command lines of both programs: a table of commands, each with a table of
// options, from which parsing and --help come.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/result.h"

namespace erofs_format {

struct Option {
  std::string_view name;        // "blob-dir"; the key by which its value is found
  char short_name = 0;          // 'D', 0 = none
  std::string_view value_name;  // "DIR"; empty = a flag
  std::string_view help;
  std::string_view alias = {};  // a second long name
};

class Arguments {
 public:
  bool has(std::string_view option) const;
  // The last value given.
  std::optional<std::string> value(std::string_view option) const;
  std::string value_or(std::string_view option, std::string_view fallback) const;
  // All values, in order.
  std::vector<std::string> values(std::string_view option) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  friend Result<Arguments> parse_arguments(std::span<const Option>, std::span<const std::string>);
  struct Given {
    std::string_view option;
    std::string value;
  };
  std::vector<Given> given_;
  std::vector<std::string> positional_;
};

// GNU long options (`--name value`, `--name=value`), short ones (`-D x`, `-Dx`), `--` ends
// options, options and operands may mix. Anything unknown is a usage error (exit_code 2).
Result<Arguments> parse_arguments(std::span<const Option> options, std::span<const std::string> words);

struct Command {
  std::string_view name;      // "create"; empty = the default form
  std::string_view synopsis;  // "[OPTIONS] BOOTSTRAP SOURCE"
  std::string_view summary;   // one line
  std::span<const Option> options;
  // Does the work; the error's exit_code is the process's.
  Result<void> (*run)(const Arguments& arguments);
};

// "PROGRAM NAME SYNOPSIS", summary, and the options, as --help prints them on stdout.
std::string help_text(std::string_view program, const Command& command);

// Code::unsupported, with `why` ("not supported yet") and the option's name, when one of `options` is given.
Result<void> refuse_options(const Arguments& arguments, std::span<const std::string_view> options,
                            std::string_view why);

// A usage error: exit status 2.
Error usage_error(std::string message);

// "4096", "0x1000", "1M" (K M G T are powers of 1,024); the message names `what`.
Result<uint64_t> parse_size(std::string_view text, std::string_view what);
// A decimal number at most `max`.
Result<uint64_t> parse_number(std::string_view text, uint64_t max, std::string_view what);

}  // namespace erofs_format
