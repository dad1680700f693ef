// Descriptors that outlive this process, by name: the service manager keeps a duplicate of each (FDSTORE of
// sd_notify(3)) and hands them to the next start as LISTEN_FDS; so does this process when another program
// takes its place.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "erofs-format/base/os.h"
#include "erofs-format/base/result.h"

namespace fscached::keeper {

using namespace erofs_format;

class DescriptorStore {
 public:
  // With what the environment says was handed to this process.
  DescriptorStore();

  bool has(const std::string& name) const { return handed_over_.count(name) > 0; }
  // Invalid when none of that name was handed over. It stays in the store until drop().
  os::UniqueFd take(const std::string& name);
  // `descriptor` is borrowed. One of that name that is kept already is replaced.
  void keep(const std::string& name, int descriptor);
  void drop(const std::string& name);
  // Also what was handed over and not taken.
  void drop_all();
  void drop_untaken();

  // Becomes `program` with everything kept. Returns only when that failed, and then nothing has changed.
  Error become(const std::string& program, std::vector<std::string> words) const;

 private:
  std::map<std::string, os::UniqueFd> handed_over_;
  std::map<std::string, int> kept_;
};

}  // namespace fscached::keeper
