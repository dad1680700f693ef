#include "fscached/loop.h"

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <set>
#include <vector>

#include "erofs-format/base/os.h"
#include "fscached/limits.h"

namespace fscached {
namespace {

enum class Kind : uint8_t { free, timer, poll, poll_once, read, write, sync };

constexpr bool is_file_operation(Kind kind) {
  return kind == Kind::read || kind == Kind::write || kind == Kind::sync;
}

struct Slot {
  uint32_t generation = 1;
  Kind kind = Kind::free;
  bool submitted = false;  // the kernel knows of it and will complete it
  bool cancelled = false;
  int fd = -1;
  uint32_t events = 0;
  uint64_t offset = 0;
  uint8_t* memory = nullptr;
  unsigned size = 0;
  uint64_t deadline = 0;
  Loop::Done done;
};

// user_data of requests whose completion tells nobody anything. Slot ids are never 0.
constexpr uint64_t kNobody = 0;

constexpr uint32_t slot_of(Loop::Id id) { return static_cast<uint32_t>(id); }
constexpr uint32_t generation_of(Loop::Id id) { return static_cast<uint32_t>(id >> 32); }

uint64_t monotonic_ns() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class UringLoop final : public Loop {
 public:
  ~UringLoop() override;
  Result<void> open(unsigned slots);

  Id poll(int fd, uint32_t events, Done ready) override {
    return start_poll(Kind::poll, fd, events, std::move(ready));
  }
  Id poll_once(int fd, uint32_t events, Done ready) override {
    return start_poll(Kind::poll_once, fd, events, std::move(ready));
  }
  Id after_ms(uint64_t milliseconds, Done fired) override;
  Id read(int fd, uint64_t offset, std::span<uint8_t> into, Done done) override {
    return start_file(Kind::read, fd, offset, into.data(), into.size(), std::move(done));
  }
  Id write(int fd, uint64_t offset, std::span<const uint8_t> bytes, Done done) override {
    // The ring's interface takes one pointer type for both directions; a write only reads.
    return start_file(Kind::write, fd, offset, const_cast<uint8_t*>(bytes.data()), bytes.size(),
                      std::move(done));
  }
  Id fdatasync(int fd, Done done) override {
    return start_file(Kind::sync, fd, 0, nullptr, 0, std::move(done));
  }
  void cancel(Id id) override;
  void post(std::function<void()> task) override;
  Result<void> run() override;
  void stop() override { stopping_ = true; }
  uint64_t now_ns() const override { return monotonic_ns(); }

 private:
  Result<void> open_ring(unsigned entries);
  Result<void> restrict_ring();
  Id allocate(Kind kind, Done done);
  void release(uint32_t index);
  Slot* find(Id id);
  Id start_poll(Kind kind, int fd, uint32_t events, Done ready);
  Id start_file(Kind kind, int fd, uint64_t offset, uint8_t* memory, size_t size, Done done);

  io_uring_sqe* next_sqe();
  bool prepare(Id id);
  void flush_queues();
  Result<void> wait();
  int submit_and_wait();
  void reap();
  void complete(Id id, int32_t result, bool more);
  void deliver(Id id, int32_t result, bool more);
  void run_timers();
  void run_posted();
  void drain_file_operations();

  io_uring ring_ = {};
  bool ring_open_ = false;
  bool enabled_ = false;
  bool stopping_ = false;
  unsigned file_limit_ = 0;
  unsigned files_under_way_ = 0;
  std::deque<Slot> slots_;  // a deque: growing moves no slot
  std::vector<uint32_t> free_;
  std::deque<Id> to_arm_;         // polls the kernel does not know yet
  std::deque<Id> waiting_files_;  // file operations beyond file_limit_
  std::vector<Id> to_cancel_;
  std::set<std::pair<uint64_t, Id>> timers_;

  os::UniqueFd wake_;
  std::mutex post_mutex_;
  std::vector<std::function<void()>> posted_;
};

// --- set-up ---------------------------------------------------------------

// No filter of system calls sees what a ring is asked for: it takes these and nothing else.
Result<void> UringLoop::restrict_ring() {
  constexpr uint8_t kOperations[] = {IORING_OP_NOP,  IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
                                     IORING_OP_READ, IORING_OP_WRITE,    IORING_OP_FSYNC};
  io_uring_restriction allowed[std::size(kOperations)] = {};
  for (size_t i = 0; i < std::size(kOperations); i++) {
    allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
    allowed[i].sqe_op = kOperations[i];
  }
  if (syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_RESTRICTIONS, allowed,
              std::size(allowed)) < 0)
    return errno_error("event loop: restricting the ring");
  return {};
}

// From the cheapest way to run completions to what every kernel has. The ring starts
// disabled, so that the thread that runs the loop, not the one that made it, becomes its only issuer.
Result<void> UringLoop::open_ring(unsigned entries) {
  constexpr unsigned kFlags[] = {
      IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
      IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
      IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN,
      IORING_SETUP_R_DISABLED,
  };
  int error = 0;
  for (unsigned flags : kFlags) {
    io_uring_params params = {};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = entries * 4;
    error = -io_uring_queue_init_params(entries, &ring_, &params);
    if (error == 0) {
      ring_open_ = true;
      return {};
    }
    if (error != EINVAL) break;
  }
  return errno_error("event loop: io_uring_setup", error);
}

Result<void> UringLoop::open(unsigned slots) {
  file_limit_ = std::clamp(slots, 1u, kMaxLoopSlots);
  TRY(open_ring(std::min(file_limit_, kLoopRingEntries)));
  TRY(restrict_ring());
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return errno_error("event loop: eventfd");
  poll(wake_.get(), POLLIN, [this](int32_t) { run_posted(); });
  return {};
}

UringLoop::~UringLoop() {
  if (!ring_open_) return;
  if (enabled_) drain_file_operations();
  io_uring_queue_exit(&ring_);
}

// The kernel may still write into the callers' memory: wait for it. What never ends by itself
// (a read of an event queue) is cancelled first. No callback runs.
void UringLoop::drain_file_operations() {
  stopping_ = true;
  for (uint32_t i = 0; i < slots_.size(); i++) {
    Slot& slot = slots_[i];
    slot.done = nullptr;
    if (!is_file_operation(slot.kind) || !slot.submitted) continue;
    io_uring_sqe* sqe = next_sqe();
    if (sqe == nullptr) return;
    io_uring_prep_cancel64(sqe, (static_cast<uint64_t>(slot.generation) << 32) | i, 0);
    io_uring_sqe_set_data64(sqe, kNobody);
  }
  while (files_under_way_ > 0) {
    int result = io_uring_submit_and_wait(&ring_, 1);
    if (result < 0 && result != -EINTR) return;
    reap();
  }
}

// --- slots ----------------------------------------------------------------

Loop::Id UringLoop::allocate(Kind kind, Done done) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.kind = kind;
  slot.submitted = slot.cancelled = false;
  slot.done = std::move(done);
  return (static_cast<uint64_t>(slot.generation) << 32) | index;
}

void UringLoop::release(uint32_t index) {
  Slot& slot = slots_[index];
  if (is_file_operation(slot.kind) && slot.submitted) files_under_way_--;
  slot.kind = Kind::free;
  slot.done = nullptr;
  if (++slot.generation == 0) slot.generation = 1;
  free_.push_back(index);
}

Slot* UringLoop::find(Id id) {
  if (slot_of(id) >= slots_.size()) return nullptr;
  Slot& slot = slots_[slot_of(id)];
  return slot.kind != Kind::free && slot.generation == generation_of(id) ? &slot : nullptr;
}

Loop::Id UringLoop::start_poll(Kind kind, int fd, uint32_t events, Done ready) {
  Id id = allocate(kind, std::move(ready));
  Slot& slot = slots_[slot_of(id)];
  slot.fd = fd;
  slot.events = events;
  to_arm_.push_back(id);
  return id;
}

Loop::Id UringLoop::start_file(Kind kind, int fd, uint64_t offset, uint8_t* memory, size_t size, Done done) {
  Id id = allocate(kind, std::move(done));
  Slot& slot = slots_[slot_of(id)];
  slot.fd = fd;
  slot.offset = offset;
  slot.memory = memory;
  slot.size = static_cast<unsigned>(std::min<size_t>(size, kMaxIoBytes));
  waiting_files_.push_back(id);
  return id;
}

Loop::Id UringLoop::after_ms(uint64_t milliseconds, Done fired) {
  Id id = allocate(Kind::timer, std::move(fired));
  Slot& slot = slots_[slot_of(id)];
  slot.deadline = monotonic_ns() + std::min(milliseconds, kMaxTimerMs) * 1'000'000;
  timers_.emplace(slot.deadline, id);
  return id;
}

void UringLoop::cancel(Id id) {
  Slot* slot = find(id);
  if (slot == nullptr || slot->cancelled || is_file_operation(slot->kind)) return;
  slot->done = nullptr;
  if (slot->kind == Kind::timer) timers_.erase({slot->deadline, id});
  if (!slot->submitted) return release(slot_of(id));
  slot->cancelled = true;  // released when the kernel confirms
  to_cancel_.push_back(id);
}

// --- to the kernel ----------------------------------------------------------

io_uring_sqe* UringLoop::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  if (sqe != nullptr) return sqe;
  io_uring_submit(&ring_);
  return io_uring_get_sqe(&ring_);
}

// False when the ring is full now.
bool UringLoop::prepare(Id id) {
  Slot& slot = slots_[slot_of(id)];
  io_uring_sqe* sqe = next_sqe();
  if (sqe == nullptr) return false;
  switch (slot.kind) {
    case Kind::poll: io_uring_prep_poll_multishot(sqe, slot.fd, slot.events); break;
    case Kind::poll_once: io_uring_prep_poll_add(sqe, slot.fd, slot.events); break;
    case Kind::read: io_uring_prep_read(sqe, slot.fd, slot.memory, slot.size, slot.offset); break;
    case Kind::write: io_uring_prep_write(sqe, slot.fd, slot.memory, slot.size, slot.offset); break;
    case Kind::sync: io_uring_prep_fsync(sqe, slot.fd, IORING_FSYNC_DATASYNC); break;
    case Kind::free:
    case Kind::timer: io_uring_prep_nop(sqe); break;
  }
  io_uring_sqe_set_data64(sqe, id);
  slot.submitted = true;
  if (is_file_operation(slot.kind)) files_under_way_++;
  return true;
}

void UringLoop::flush_queues() {
  while (!to_cancel_.empty()) {
    io_uring_sqe* sqe = next_sqe();
    if (sqe == nullptr) return;
    io_uring_prep_cancel64(sqe, to_cancel_.back(), 0);
    io_uring_sqe_set_data64(sqe, kNobody);
    to_cancel_.pop_back();
  }
  while (!to_arm_.empty()) {
    if (find(to_arm_.front()) != nullptr && !prepare(to_arm_.front())) return;
    to_arm_.pop_front();
  }
  while (!waiting_files_.empty() && files_under_way_ < file_limit_) {
    if (!prepare(waiting_files_.front())) return;
    waiting_files_.pop_front();
  }
}

int UringLoop::submit_and_wait() {
  if (timers_.empty()) return io_uring_submit_and_wait(&ring_, 1);
  uint64_t now = monotonic_ns();
  uint64_t deadline = timers_.begin()->first;
  uint64_t wait_ns = deadline > now ? deadline - now : 0;
  __kernel_timespec timeout = {};
  timeout.tv_sec = static_cast<int64_t>(wait_ns / 1'000'000'000);
  timeout.tv_nsec = static_cast<int64_t>(wait_ns % 1'000'000'000);
  io_uring_cqe* cqe = nullptr;
  return io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
}

Result<void> UringLoop::wait() {
  int result = submit_and_wait();
  // EAGAIN and EBUSY: the kernel wants completions taken before it takes more.
  if (result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN || result == -EBUSY) return {};
  return errno_error("event loop: io_uring_enter", -result);
}

// --- from the kernel --------------------------------------------------------

void UringLoop::reap() {
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
    Id id = io_uring_cqe_get_data64(cqe);
    int32_t result = cqe->res;
    bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    io_uring_cqe_seen(&ring_, cqe);
    if (id != kNobody) complete(id, result, more);
  }
}

void UringLoop::complete(Id id, int32_t result, bool more) {
  Slot* slot = find(id);
  if (slot == nullptr) return;
  if (slot->cancelled) {
    if (!more) release(slot_of(id));
    return;
  }
  deliver(id, result, more);
}

// The callback may cancel its own operation or start others: it runs from a local
// variable, and the slot is looked up again afterwards.
void UringLoop::deliver(Id id, int32_t result, bool more) {
  Slot& slot = slots_[slot_of(id)];
  Done done = std::move(slot.done);
  if (slot.kind != Kind::poll) {
    release(slot_of(id));
    if (done) done(result);
    return;
  }
  slot.submitted = more;
  if (!done) return;
  done(result);
  Slot* after = find(id);
  if (after == nullptr || after->cancelled) return;
  after->done = std::move(done);
  // The kernel ends a multishot poll when completions overflow; it is armed again. A
  // failed poll (a bad descriptor) would only fail again.
  if (!after->submitted && result >= 0) to_arm_.push_back(id);
}

void UringLoop::run_timers() {
  uint64_t now = monotonic_ns();
  while (!timers_.empty() && timers_.begin()->first <= now && !stopping_) {
    Id id = timers_.begin()->second;
    timers_.erase(timers_.begin());
    deliver(id, 0, false);
  }
}

void UringLoop::post(std::function<void()> task) {
  {
    std::lock_guard lock(post_mutex_);
    posted_.push_back(std::move(task));
  }
  uint64_t one = 1;
  // Fails only when the counter is full, and then the loop wakes anyway.
  [[maybe_unused]] ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void UringLoop::run_posted() {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t got = ::read(wake_.get(), &count, sizeof count);
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(post_mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

Result<void> UringLoop::run() {
  if (!enabled_) {
    // liburing 2.3 declares io_uring_enable_rings() and does not export it.
    if (syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) < 0) {
      return errno_error("event loop: enabling the ring");
    }
    enabled_ = true;
  }
  stopping_ = false;
  while (!stopping_) {
    flush_queues();
    TRY(wait());
    reap();
    run_timers();
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(unsigned slots) {
  auto loop = std::make_unique<UringLoop>();
  TRY(loop->open(slots));
  return std::unique_ptr<Loop>(std::move(loop));
}

}  // namespace fscached
