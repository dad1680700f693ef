#include "fscached/keeper/descriptor_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <sstream>

#include "fscached/keeper/notify.h"

namespace fscached::keeper {

namespace {

constexpr int kFirst = 3;  // of LISTEN_FDS

long number_in(const char* name) {
  const char* text = secure_getenv(name);
  return text ? strtol(text, nullptr, 10) : 0;
}

}  // namespace

DescriptorStore::DescriptorStore() {
  long count = number_in("LISTEN_PID") == getpid() ? number_in("LISTEN_FDS") : 0;
  const char* text = secure_getenv("LISTEN_FDNAMES");
  std::istringstream names(text ? text : "");
  std::string name;
  for (int fd = kFirst; fd < kFirst + count && std::getline(names, name, ':'); fd++) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    handed_over_[name] = os::UniqueFd(fd);
  }
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(variable);
}

os::UniqueFd DescriptorStore::take(const std::string& name) {
  auto found = handed_over_.find(name);
  if (found == handed_over_.end()) return {};
  os::UniqueFd descriptor = std::move(found->second);
  handed_over_.erase(found);
  kept_[name] = descriptor.get();
  return descriptor;
}

void DescriptorStore::keep(const std::string& name, int descriptor) {
  drop(name);
  kept_[name] = descriptor;
  // Nothing that a poll says of these would be a reason to let them go.
  notify(fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name), descriptor);
}

void DescriptorStore::drop(const std::string& name) {
  if (handed_over_.erase(name) + kept_.erase(name) > 0)
    notify(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
}

void DescriptorStore::drop_all() {
  drop_untaken();
  while (!kept_.empty()) drop(std::string(kept_.begin()->first));
}

void DescriptorStore::drop_untaken() {
  while (!handed_over_.empty()) drop(std::string(handed_over_.begin()->first));
}

}  // namespace fscached::keeper
