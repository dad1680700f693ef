// Settings of the daemon: a TOML file, strict (an unknown key is an error), and `key=value` words, in
// which the keeper hands them to each worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/result.h"
#include "fscached/limits.h"

namespace fscached {

using namespace erofs_format;

inline constexpr char kDefaultConfig[] = "/etc/fscached/config.toml";
inline constexpr char kDefaultWorkerUser[] = "fscached";
inline constexpr char kDefaultRoot[] = "/var/lib/fscached";
inline constexpr char kDefaultSocket[] = "/run/fscached/fscached.sock";

struct Config {
  std::string root = kDefaultRoot;
  std::string socket = kDefaultSocket;
  std::string backend = "auto";
  std::string log_level = "info";
  std::string worker_user = kDefaultWorkerUser;  // name or number
  // [cachefiles]
  std::string domain = "fscached";  // images of one domain share blobs; empty = none do
  uint64_t blocks_run = 2, blocks_cull = 1, blocks_stop = 0;  // percent of the file system kept free
  uint64_t files_run = 2, files_cull = 1, files_stop = 0;
  uint64_t fetch_memory = kDefaultFetchMemory;
  uint64_t decode_threads = 0;             // 0 = processors
  bool complete = false;                   // fetch the rest of each blob in the background
  uint64_t complete_bandwidth = 10 << 20;  // bytes a second, of each blob; 0 = no limit
  uint64_t complete_after_s = 10;          // after the mount
  std::string ca_file;
  std::string auth_file;
  std::string hosts_folder;
  bool plain_http = false;
  uint64_t connect_timeout_ms = 10'000;
  uint64_t stall_timeout_s = 15;
  uint64_t read_timeout_ms = 60'000;
  uint64_t request_timeout_ms = 60'000;
};

// One setting by its dotted name ("complete.bandwidth"); `value` as the file spells it, without quotes.
Result<void> set_config(Config& config, std::string_view key, std::string_view value);
// Reads a file over the defaults.
Result<void> read_config_file(Config& config, const std::string& path);
// From the file that is named, else from kDefaultConfig if it is there.
Result<Config> configuration(const std::optional<std::string>& path);
// All settings as "key=value", and back.
std::vector<std::string> config_words(const Config& config);
Result<void> read_config_words(Config& config, const std::vector<std::string>& words);

}  // namespace fscached
