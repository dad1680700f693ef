#include "fscached/keeper/descriptor_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <sstream>

#include "fscached/keeper/exec_words.h"
#include "fscached/keeper/notify.h"

namespace fscached::keeper {

namespace {

constexpr int kFirst = 3;  // of LISTEN_FDS

long number_in(const char* name) {
  const char* text = secure_getenv(name);
  return text ? strtol(text, nullptr, 10) : 0;
}

void forget_variables() {
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(variable);
}

// Descriptors moved to kFirst and the numbers behind it; what was there comes back when nothing came of it.
class Placed {
 public:
  explicit Placed(const std::map<std::string, int>& descriptors) {
    int count = static_cast<int>(descriptors.size());
    // First above the numbers they are to get, so that none is overwritten before it moved.
    std::vector<os::UniqueFd> high;
    high.reserve(descriptors.size());
    for (auto& [name, descriptor] : descriptors)
      high.emplace_back(fcntl(descriptor, F_DUPFD_CLOEXEC, kFirst + count));
    for (int i = 0; i < count; i++) before_.emplace_back(fcntl(kFirst + i, F_DUPFD_CLOEXEC, kFirst + count));
    for (int i = 0; i < count; i++) complete_ = dup2(high[i].get(), kFirst + i) >= 0 && complete_;
  }
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;
  ~Placed() {
    for (int i = 0; i < static_cast<int>(before_.size()); i++)
      if (!before_[i].valid() || dup3(before_[i].get(), kFirst + i, O_CLOEXEC) < 0) close(kFirst + i);
  }
  bool complete() const { return complete_; }

 private:
  std::vector<os::UniqueFd> before_;
  bool complete_ = true;
};

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
  forget_variables();
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
  if (descriptor < 0) return;
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

Error DescriptorStore::become(const std::string& program, std::vector<std::string> words) const {
  std::string names;
  for (auto& [name, descriptor] : kept_) names += (names.empty() ? "" : ":") + name;
  std::vector<char*> pointers = exec_words(words);
  Placed placed(kept_);
  if (!placed.complete()) return errno_error(program + ": its descriptors");
  setenv("LISTEN_PID", fmt::format("{}", getpid()).c_str(), 1);
  setenv("LISTEN_FDS", fmt::format("{}", kept_.size()).c_str(), 1);
  setenv("LISTEN_FDNAMES", names.c_str(), 1);
  execv(program.c_str(), pointers.data());
  Error error = errno_error(program);
  forget_variables();
  return error;
}

}  // namespace fscached::keeper
