#include "erofs-format/base/options.h"

#include <algorithm>
#include <charconv>

#include "erofs-format/base/checked.h"

namespace erofs_format {

namespace {

const Option* find_long(std::span<const Option> options, std::string_view name) {
  for (const auto& option : options)
    if (option.name == name || (!option.alias.empty() && option.alias == name)) return &option;
  return nullptr;
}

const Option* find_short(std::span<const Option> options, char name) {
  for (const auto& option : options)
    if (option.short_name == name) return &option;
  return nullptr;
}

}  // namespace

bool Arguments::has(std::string_view option) const {
  return std::any_of(given_.begin(), given_.end(), [&](const Given& g) { return g.option == option; });
}

std::optional<std::string> Arguments::value(std::string_view option) const {
  for (auto given = given_.rbegin(); given != given_.rend(); ++given)
    if (given->option == option) return given->value;
  return std::nullopt;
}

std::string Arguments::value_or(std::string_view option, std::string_view fallback) const {
  auto given = value(option);
  return given ? *given : std::string(fallback);
}

std::vector<std::string> Arguments::values(std::string_view option) const {
  std::vector<std::string> all;
  for (const auto& given : given_)
    if (given.option == option) all.push_back(given.value);
  return all;
}

Error usage_error(std::string message) { return Error{Code::invalid_argument, 0, std::move(message), 2}; }

Result<void> refuse_options(const Arguments& arguments, std::span<const std::string_view> options,
                            std::string_view why) {
  for (std::string_view option : options)
    if (arguments.has(option))
      return make_error(Code::unsupported, std::string(why) + ": --" + std::string(option));
  return {};
}

Result<Arguments> parse_arguments(std::span<const Option> options, std::span<const std::string> words) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); i++) {
    std::string_view word = words[i];
    if (word == "--") {
      arguments.positional_.insert(arguments.positional_.end(), words.begin() + static_cast<long>(i) + 1,
                                   words.end());
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      arguments.positional_.emplace_back(word);
      continue;
    }
    const Option* option = nullptr;
    std::optional<std::string_view> attached;
    if (word[1] == '-') {
      size_t equals = word.find('=');
      option = find_long(options, word.substr(2, equals == word.npos ? word.npos : equals - 2));
      if (equals != word.npos) attached = word.substr(equals + 1);
    } else {
      option = find_short(options, word[1]);
      if (word.size() > 2) attached = word.substr(2);
    }
    if (!option) return usage_error("unknown option '" + std::string(word) + "'");
    if (option->value_name.empty()) {
      if (attached) return usage_error("option '" + std::string(word) + "' takes no value");
      arguments.given_.push_back({option->name, ""});
    } else if (attached) {
      arguments.given_.push_back({option->name, std::string(*attached)});
    } else if (i + 1 < words.size()) {
      arguments.given_.push_back({option->name, words[++i]});
    } else {
      return usage_error("option '" + std::string(word) + "' needs " + std::string(option->value_name));
    }
  }
  return arguments;
}

std::string help_text(std::string_view program, const Command& command) {
  std::string text = "Usage: " + std::string(program);
  if (!command.name.empty()) text.append(" ").append(command.name);
  text.append(" ").append(command.synopsis).append("\n\n").append(command.summary).append("\n");
  if (!command.options.empty()) text += "\nOptions:\n";
  for (const auto& option : command.options) {
    std::string left = option.short_name ? std::string("  -") + option.short_name + ", " : "      ";
    left.append("--").append(option.name);
    if (!option.value_name.empty()) left.append(" ").append(option.value_name);
    constexpr size_t kColumn = 34;
    if (left.size() + 1 < kColumn) {
      left.resize(kColumn, ' ');
    } else {
      left.append("\n").append(kColumn, ' ');
    }
    text.append(left).append(option.help).append("\n");
  }
  return text;
}

Result<uint64_t> parse_size(std::string_view text, std::string_view what) {
  int base = 10;
  std::string_view digits = text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  }
  uint64_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  std::string_view unit = digits.substr(static_cast<size_t>(end - digits.data()));
  uint64_t factor = 1;
  if (unit == "K" || unit == "k") {
    factor = uint64_t{1} << 10;
  } else if (unit == "M" || unit == "m") {
    factor = uint64_t{1} << 20;
  } else if (unit == "G" || unit == "g") {
    factor = uint64_t{1} << 30;
  } else if (unit == "T" || unit == "t") {
    factor = uint64_t{1} << 40;
  } else if (!unit.empty()) {
    error = std::errc::invalid_argument;
  }
  if (error != std::errc{} || !checked_mul(number, factor, &number))
    return usage_error(std::string(what) + ": '" + std::string(text) + "' is not a size");
  return number;
}

Result<uint64_t> parse_number(std::string_view text, uint64_t max, std::string_view what) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number > max)
    return usage_error(std::string(what) + ": '" + std::string(text) + "' is not a number up to " +
                       std::to_string(max));
  return number;
}

}  // namespace erofs_format
