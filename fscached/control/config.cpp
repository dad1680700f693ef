#include "fscached/control/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <variant>

#include "erofs-format/base/options.h"
#include "erofs-format/base/os.h"
#include "erofs-format/base/toml.h"
#include "fscached/kernel/cachefiles_names.h"

namespace fscached {

namespace {

using Member = std::variant<std::string Config::*, uint64_t Config::*, bool Config::*>;

struct Setting {
  std::string_view key;
  Member member;
  enum class Unit { none, size, duration } unit = Unit::none;  // "64M"; "60s", "500ms", kept in milliseconds
  uint64_t least = 0;
  uint64_t most = UINT64_MAX;
};

using Unit = Setting::Unit;

const Setting kSettings[] = {
    {"root", &Config::root},
    {"socket", &Config::socket},
    {"backend", &Config::backend},
    {"log_level", &Config::log_level},
    {"worker.user", &Config::worker_user},
    {"fetch.memory", &Config::fetch_memory, Unit::size, kMinFetchMemory},
    {"fetch.decode_threads", &Config::decode_threads, Unit::none, 0, kMaxDecodeThreads},
    {"fetch.ca_file", &Config::ca_file},
    {"fetch.auth_file", &Config::auth_file},
    {"fetch.hosts_folder", &Config::hosts_folder},
    {"fetch.plain_http", &Config::plain_http},
    {"fetch.connect_timeout_ms", &Config::connect_timeout_ms, Unit::none, 1, 3'600'000},
    {"fetch.stall_timeout_s", &Config::stall_timeout_s, Unit::none, 1, 3'600},
    {"fetch.read_timeout_ms", &Config::read_timeout_ms, Unit::none, 1, 3'600'000},
    {"fetch.request_timeout", &Config::request_timeout_ms, Unit::duration, 1, 3'600'000},
    {"cachefiles.domain", &Config::domain},
    {"cachefiles.brun", &Config::blocks_run, Unit::none, 0, 99},
    {"cachefiles.bcull", &Config::blocks_cull, Unit::none, 0, 99},
    {"cachefiles.bstop", &Config::blocks_stop, Unit::none, 0, 99},
    {"cachefiles.frun", &Config::files_run, Unit::none, 0, 99},
    {"cachefiles.fcull", &Config::files_cull, Unit::none, 0, 99},
    {"cachefiles.fstop", &Config::files_stop, Unit::none, 0, 99},
    {"complete.enabled", &Config::complete},
    {"complete.bandwidth", &Config::complete_bandwidth, Unit::size},
    {"complete.after_s", &Config::complete_after_s, Unit::none, 0, 1'000'000},
};

// Seconds, "60s" or "500ms"; in milliseconds.
Result<uint64_t> parse_duration(std::string_view value, const Setting& setting) {
  uint64_t unit = 1000;
  if (value.ends_with("ms")) {
    unit = 1;
    value.remove_suffix(2);
  } else if (value.ends_with("s")) {
    value.remove_suffix(1);
  }
  TRY_ASSIGN(uint64_t number, parse_number(value, setting.most / unit, setting.key));
  return number * unit;
}

Result<uint64_t> parse_value(const Setting& setting, std::string_view value) {
  uint64_t number = 0;
  switch (setting.unit) {
    case Unit::size: {
      TRY_ASSIGN(number, parse_size(value, setting.key));
      break;
    }
    case Unit::duration: {
      TRY_ASSIGN(number, parse_duration(value, setting));
      break;
    }
    case Unit::none: {
      TRY_ASSIGN(number, parse_number(value, setting.most, setting.key));
    }
  }
  if (number < setting.least || number > setting.most)
    return usage_error(
        fmt::format("{}: {} is not in {}…{}", setting.key, number, setting.least, setting.most));
  return number;
}

Result<void> check_choice(std::string_view key, std::string_view value,
                          std::initializer_list<std::string_view> choices) {
  std::string all;
  for (std::string_view choice : choices) {
    if (choice == value) return {};
    all += fmt::format("{}{}", all.empty() ? "" : ", ", choice);
  }
  return usage_error(fmt::format("{}: '{}' is not one of {}", key, printable(value), all));
}

Result<void> check_words(std::string_view key, std::string_view value) {
  if (key == "backend") return check_choice(key, value, {"auto", "cachefiles", "fanotify"});
  if (key == "cachefiles.domain" && !value.empty()) return check_cookie_word(key, value);
  if (key == "log_level") return check_choice(key, value, {"error", "warn", "info", "debug"});
  if ((key == "root" || key == "socket") && !value.starts_with('/'))
    return usage_error(fmt::format("{}: '{}' is not an absolute path", key, printable(value)));
  return {};
}

// The spelling of a scalar, as set_config takes it.
Result<std::string> text_of(std::string_view key, const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  return usage_error(fmt::format("{}: is neither text, number nor truth value", key));
}

Result<void> read_table(Config& config, const toml::table& table, const std::string& prefix) {
  for (auto&& [name, node] : table) {
    std::string key = prefix + std::string(name.str());
    auto line = fmt::format("line {}", node.source().begin.line);
    if (const toml::table* inner = node.as_table()) {
      TRY(read_table(config, *inner, key + "."));
      continue;
    }
    auto value = text_of(key, node);
    if (!value) return std::move(value).error().within(line);
    auto set = set_config(config, key, *value);
    if (!set) return std::move(set).error().within(line);
  }
  return {};
}

}  // namespace

Result<void> set_config(Config& config, std::string_view key, std::string_view value) {
  for (const Setting& setting : kSettings) {
    if (setting.key != key) continue;
    if (const auto* text = std::get_if<std::string Config::*>(&setting.member)) {
      TRY(check_words(key, value));
      config.*(*text) = value;
    } else if (const auto* flag = std::get_if<bool Config::*>(&setting.member)) {
      TRY(check_choice(key, value, {"true", "false"}));
      config.*(*flag) = value == "true";
    } else {
      TRY_ASSIGN(config.*(*std::get_if<uint64_t Config::*>(&setting.member)), parse_value(setting, value));
    }
    return {};
  }
  return usage_error(fmt::format("unknown setting '{}'", printable(key)));
}

Result<void> read_config_file(Config& config, const std::string& path) {
  TRY_ASSIGN(Buffer bytes, os::read_file(path, kMaxConfigBytes));
  TRY_ASSIGN(toml::table table, parse_toml(as_text(bytes), path));
  auto read = read_table(config, table, "");
  if (!read) return std::move(read).error().within(path);
  return {};
}

Result<Config> configuration(const std::optional<std::string>& path) {
  Config config;
  if (path || access(kDefaultConfig, F_OK) == 0) TRY(read_config_file(config, path.value_or(kDefaultConfig)));
  return config;
}

std::vector<std::string> config_words(const Config& config) {
  std::vector<std::string> words;
  for (const Setting& setting : kSettings) {
    std::string value;
    if (const auto* text = std::get_if<std::string Config::*>(&setting.member))
      value = config.*(*text);
    else if (const auto* flag = std::get_if<bool Config::*>(&setting.member))
      value = config.*(*flag) ? "true" : "false";
    else
      value = fmt::format("{}{}", config.*(*std::get_if<uint64_t Config::*>(&setting.member)),
                          setting.unit == Unit::duration ? "ms" : "");
    words.push_back(fmt::format("{}={}", setting.key, value));
  }
  return words;
}

Result<void> read_config_words(Config& config, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    if (equals == word.npos) return usage_error(fmt::format("'{}': is no setting", printable(word)));
    TRY(set_config(config, std::string_view(word).substr(0, equals),
                   std::string_view(word).substr(equals + 1)));
  }
  return {};
}

}  // namespace fscached
