// The command line of nydusd, as the snapshotter and people write it.
#pragma once

#include <string>
#include <vector>

#include "erofs-format/base/options.h"

namespace fscached {

using namespace erofs_format;

struct NydusdOptions {
  enum class Mode {
    shared,     // images are mounted below the mountpoint when the API says so
    dedicated,  // the one image of --bootstrap, at the mountpoint itself
    singleton,  // images are added for the snapshotter to mount by their fsid (cachefiles)
  };
  Mode mode = Mode::shared;
  std::string mountpoint, fscache_folder;                 // absolute
  std::string api_socket, supervisor, config, bootstrap;  // absolute; empty = none
  std::string localfs_folder, log_file;
  std::string id, log_level = "info";
  bool upgrade = false;
};

extern const Command kFuseCommand;
extern const Command kSingletonCommand;

// What a program called nydusd is given: `fuse` and `singleton` may stand in front of their options, behind
// those both have, or not at all (then it is fuse).
Result<NydusdOptions> parse_nydusd(const std::vector<std::string>& words);
// The same as words again, for a process of ours.
std::vector<std::string> words_of(const NydusdOptions& options);
// --help and --version of a program called nydusd.
std::string nydusd_help();
// "Version:", "Git Commit:" and so on, a line each. The commit is the build's own id: two programs that
// differ have different ones.
std::string nydusd_version();
std::string build_id();

}  // namespace fscached
