#include "fscached/tests/simulation/simulated_kernel.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace fscached {

namespace {

// Beyond the deadline: what a loop may need to come to it.
constexpr uint64_t kLateNs = 500'000'000;
// An error may reach a reader who came just behind what caused it.
constexpr uint64_t kJustBehindNs = 300'000'000;

// Of descriptors that come with messages: none that anything else has. Workers whose memory ended leave
// theirs behind.
int first_number() {
  constexpr rlim_t kFirst = 20'000, kRoom = 1000;
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kFirst + kRoom));
  setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min(kFirst, limit.rlim_cur - kRoom / 2));
}

}  // namespace

SocketPair::SocketPair() {
  int ends[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) abort();
  ours = os::UniqueFd(ends[0]);
  theirs = os::UniqueFd(ends[1]);
}

Extent SimulatedKernel::clip(size_t blob, Extent range) const {
  uint64_t size = scene_.blobs[blob].size();
  uint64_t from = std::min(range.offset, size);
  return {from, std::min(range.size, size - from)};
}

int SimulatedKernel::take_number(int fd, int flags) {
  static const int first = first_number();
  int number = fcntl(fd, flags & FD_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, first);
  scene_.judge.expect(number >= 0, "no descriptor is left: {}", strerror(errno));
  numbers_.insert(number);
  return number;
}

void SimulatedKernel::bury() {
  for (int number : std::exchange(numbers_, {})) close(number);
}

void SimulatedKernel::see(size_t blob, Extent range, int fd) {
  range = clip(blob, range);
  static thread_local Buffer seen;
  seen.resize(range.size);
  auto read = os::pread_exact(fd, range.offset, seen, "file");
  scene_.judge.expect(bool(read), "file {} cannot be read at byte {}", blob, range.offset);
  auto wanted = scene_.blobs[blob].image.begin() + static_cast<ptrdiff_t>(range.offset);
  auto different = std::mismatch(seen.begin(), seen.end(), wanted);
  if (different.first == seen.end()) return;
  scene_.judge.fail("WRONG BYTES: file {}, byte {}: a reader sees {} instead of {}", blob,
                    range.offset + static_cast<uint64_t>(different.first - seen.begin()), *different.first,
                    *different.second);
}

void SimulatedKernel::check_error(size_t blob, Extent range, uint64_t asked) {
  counters_.errors++;
  uint64_t patience = scene_.request_timeout_ms * 1'000'000;
  if (now() - asked >= patience && scene_.faults.slow_between(asked, now())) return;
  if (scene_.disk.failed_between(asked - kJustBehindNs, now())) return;
  const BlobLayout& layout = *scene_.blobs[blob].layout;
  for (uint32_t chunk : layout.chunks_in(range.offset, range.size)) {
    StoredRange stored = stored_range(layout.table(), chunk);
    Fault wanted = {blob, scene_.sources - 1, stored.offset, stored.offset + stored.size};
    wanted.began = asked - kJustBehindNs;
    wanted.ended = now();
    if (scene_.faults.touched(wanted)) return;
  }
  scene_.judge.fail("EIO without a reason: file {}, bytes {} to {}, asked at {}, answered at {} ms", blob,
                    range.offset, range.offset + range.size, asked / 1'000'000, now() / 1'000'000);
}

void SimulatedKernel::check_time(uint64_t since, const char* what) {
  uint64_t patience = scene_.request_timeout_ms * 1'000'000 + kLateNs;
  scene_.judge.expect(now() - since <= patience, "{} waits for {} ms already", what,
                      (now() - since) / 1'000'000);
}

void SimulatedKernel::lose_everything(size_t blob, const std::string& presence) {
  if (ftruncate(files_[blob].get(), 0) != 0) abort();
  if (ftruncate(files_[blob].get(), static_cast<off_t>(scene_.blobs[blob].size())) != 0) abort();
  unlink(presence.c_str());
}

void SimulatedKernel::check_rest() {
  scene_.judge.expect(waiting() == 0, "at rest, {} readers wait", waiting());
  scene_.judge.expect(counters_.asked == counters_.answered + counters_.gone,
                      "{} questions, {} answers, {} readers gone", counters_.asked, counters_.answered,
                      counters_.gone);
}

}  // namespace fscached
