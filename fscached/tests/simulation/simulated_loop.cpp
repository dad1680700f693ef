#include "fscached/tests/simulation/simulated_loop.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace fscached {

Loop::Id SimulatedLoop::add_poll(int fd, uint32_t events, Done& ready, bool once) {
  polls_[++last_id_] = {fd, static_cast<short>(events), once, false, std::move(ready)};
  look_ = true;
  return last_id_;
}

Loop::Id SimulatedLoop::after_ms(uint64_t milliseconds, Done fired) {
  uint64_t deadline = now_ns() + milliseconds * 1'000'000;
  deadlines_[++last_id_] = deadline;
  timers_[{deadline, last_id_}] = std::move(fired);
  return last_id_;
}

// A disk answers in its own order, now and then very late. Whether the bytes move at the beginning or at the
// end of the time is open, too.
Loop::Id SimulatedLoop::add_file(std::function<int32_t()> act, Done done) {
  FileOperation operation;
  uint64_t late_us = choices_.one_in(50) ? 200'000 : 400;
  operation.ends = now_ns() + choices_.below(late_us) * 1000;
  if (no_files_)
    operation.result = -EIO;
  else if (choices_.one_in(2))
    operation.result = act();
  operation.act = std::move(act);
  operation.done = std::move(done);
  files_[++last_id_] = std::move(operation);
  return last_id_;
}

namespace {

int32_t outcome(ssize_t result) { return static_cast<int32_t>(result < 0 ? -errno : result); }

}  // namespace

Loop::Id SimulatedLoop::read(int fd, uint64_t offset, std::span<uint8_t> into, Done done) {
  return add_file([=] { return outcome(::pread(fd, into.data(), into.size(), static_cast<off_t>(offset))); },
                  std::move(done));
}

// 0 = none; positive: only a part is done.
int32_t SimulatedLoop::disk_error() {
  if (disk_.one_fault_in == 0 || !choices_.one_in(disk_.one_fault_in)) return 0;
  constexpr int32_t kErrors[] = {1, 1, -EINTR, -EIO, -ENOSPC, -EDQUOT};
  int32_t error = kErrors[choices_.below(std::size(kErrors))];
  if (error < 0) disk_.faults.push_back(now_ns());
  return error;
}

Loop::Id SimulatedLoop::write(int fd, uint64_t offset, std::span<const uint8_t> bytes, Done done) {
  int32_t error = disk_error();
  if (error < 0) return add_file([error] { return error; }, std::move(done));
  if (error > 0) bytes = bytes.first(choices_.between(1, bytes.size() / disk_.unit) * disk_.unit);
  return add_file(
      [=] { return outcome(::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset))); },
      std::move(done));
}

Loop::Id SimulatedLoop::fdatasync(int, Done done) {
  int32_t error = std::min(disk_error(), 0);
  return add_file([error] { return error; }, std::move(done));
}

void SimulatedLoop::cancel(Id id) {
  auto poll = polls_.find(id);
  if (poll != polls_.end()) {
    if (poll->second.ready) ready_--;
    polls_.erase(poll);
  }
  auto deadline = deadlines_.find(id);
  if (deadline == deadlines_.end()) return;
  timers_.erase({deadline->second, id});
  deadlines_.erase(deadline);
}

Result<void> SimulatedLoop::run() {
  stopping_ = false;
  while (!stopping_ && step()) {
  }
  return {};
}

void SimulatedLoop::find_ready() {
  if (!std::exchange(look_, false)) return;
  std::vector<pollfd> looked;
  for (auto& [id, poll] : polls_) looked.push_back({poll.fd, poll.events, 0});
  ::poll(looked.data(), looked.size(), 0);
  auto found = looked.begin();
  for (auto& [id, poll] : polls_) {
    bool ready = (found++)->revents != 0;
    if (ready == poll.ready) continue;
    poll.ready = ready;
    ready ? ready_++ : ready_--;
  }
}

size_t SimulatedLoop::count_due() const {
  return static_cast<size_t>(std::count_if(
      files_.begin(), files_.end(), [this](const auto& entry) { return entry.second.ends <= clock_; }));
}

bool SimulatedLoop::pass_time() {
  uint64_t next = UINT64_MAX;
  for (auto& [id, operation] : files_) next = std::min(next, operation.ends);
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first.first);
  if (next == UINT64_MAX) return false;
  clock_ = std::max(clock_, next);
  return true;
}

bool SimulatedLoop::step() {
  for (;;) {
    find_ready();
    bool timer = !timers_.empty() && timers_.begin()->first.first <= clock_;
    size_t due = count_due();
    size_t all = posted_.size() + ready_ + due + timer;
    if (all == 0) {
      if (!pass_time()) return false;
      continue;
    }
    size_t chosen = choices_.below(all);
    if (chosen < posted_.size())
      run_posted();
    else if ((chosen -= posted_.size()) < ready_)
      run_poll();
    else if (chosen - ready_ < due)
      run_file();
    else
      run_timer();
    return true;
  }
}

// Other threads post, too: nothing may count on an order.
void SimulatedLoop::run_posted() {
  size_t chosen = choices_.below(posted_.size());
  auto task = std::move(posted_[chosen]);
  posted_.erase(posted_.begin() + static_cast<ptrdiff_t>(chosen));
  task();
}

void SimulatedLoop::run_poll() {
  size_t chosen = choices_.below(ready_);
  auto found = polls_.begin();
  while (!found->second.ready || chosen-- > 0) ++found;
  Id id = found->first;
  found->second.ready = false;
  ready_--;
  Done done = found->second.done;
  if (found->second.once) polls_.erase(id);
  done(POLLIN);
}

void SimulatedLoop::run_file() {
  size_t chosen = choices_.below(count_due());
  auto found = files_.begin();
  while (found->second.ends > clock_ || chosen-- > 0) ++found;
  FileOperation operation = std::move(found->second);
  files_.erase(found);
  operation.done(operation.result ? *operation.result : operation.act());
}

void SimulatedLoop::run_timer() {
  auto first = timers_.begin();
  Done fired = std::move(first->second);
  deadlines_.erase(first->first.second);
  timers_.erase(first);
  fired(0);
}

void SimulatedLoop::lose_files() {
  no_files_ = true;
  for (auto& [id, operation] : files_) operation.result = -EIO;
}

}  // namespace fscached
