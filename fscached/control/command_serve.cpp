#include <unistd.h>

#include "erofs-format/base/log.h"
#include "erofs-format/base/os.h"
#include "fscached/control/absolute_path.h"
#include "fscached/control/commands.h"
#include "fscached/control/config.h"
#include "fscached/control/worker_user.h"
#include "fscached/keeper/keeper.h"

namespace fscached {

namespace {

constexpr Option kOptions[] = {
    {"config", 'c', "FILE", "settings (/etc/fscached/config.toml, if it is there)"},
    {"root", 0, "DIR", "where cache files are kept (/var/lib/fscached)"},
    {"socket", 0, "PATH", "control socket (/run/fscached/fscached.sock)"},
    {"backend", 0, "NAME", "auto, cachefiles or fanotify"},
    {"log-level", 'l', "LEVEL", "error, warn, info or debug"},
};

Result<Config> read_config(const Arguments& arguments) {
  TRY_ASSIGN(Config config, configuration(arguments.value("config")));
  for (const char* path : {"root", "socket"}) {
    auto given = arguments.value(path);
    if (!given) continue;
    TRY_ASSIGN(std::string full, absolute_path(*given));
    TRY(set_config(config, path, full));
  }
  if (auto backend = arguments.value("backend")) TRY(set_config(config, "backend", *backend));
  if (auto level = arguments.value("log-level")) TRY(set_config(config, "log_level", *level));
  return config;
}

Result<keeper::KeeperOptions> read_options(const Arguments& arguments) {
  if (!arguments.positional().empty()) return usage_error("serve: takes no operands");
  TRY_ASSIGN(Config config, read_config(arguments));
  keeper::CacheLimits limits = {{config.blocks_run, config.blocks_cull, config.blocks_stop},
                                {config.files_run, config.files_cull, config.files_stop}};
  TRY_ASSIGN(keeper::WorkerUser user, find_worker_user(config.worker_user));
  return keeper::KeeperOptions{config.root, config.socket, config.backend,
                               limits,      user,          config_words(config)};
}

Result<void> run(const Arguments& arguments) {
  TRY_ASSIGN(keeper::KeeperOptions options, read_options(arguments));
  TRY_ASSIGN(auto keeper, keeper::Keeper::create(std::move(options)));
  return keeper->run();
}

Result<void> check(const std::vector<std::string>& words) {
  constexpr size_t kBeforeOptions = 4;  // version, root, mechanism, "serve"
  if (words.size() < kBeforeOptions) return usage_error("not enough words");
  if (words[0] != std::to_string(keeper::kStateVersion))
    return make_error(Code::unsupported, "the keeper's state is another version's: stop the daemon first");
  TRY_ASSIGN(Arguments arguments, parse_arguments(kOptions, {words.begin() + kBeforeOptions, words.end()}));
  TRY_ASSIGN(keeper::KeeperOptions options, read_options(arguments));
  return keeper::check_same_settings(options, words[1], words[2]);
}

}  // namespace

int check_take_over(const std::vector<std::string>& words) {
  auto checked = check(words);
  if (checked) return keeper::kTakesOver;
  log_line(LogLevel::error, "keeper", checked.error().message);
  return checked.error().exit_code;
}

const Command kServeCommand = {"serve", "[OPTIONS]", "Run the daemon: serve mounted images until SIGTERM.",
                               kOptions, run};

}  // namespace fscached
