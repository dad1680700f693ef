// Pre-content events through a socket pair, and the keeper's part of it: the journal and the marks.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <list>
#include <set>
#include <utility>

#include "fscached/keeper/data_files.h"
#include "fscached/kernel/fanotify.h"
#include "fscached/tests/fanotify_records.h"
#include "fscached/tests/simulation/simulated_kernel.h"

namespace fscached {

namespace {

constexpr size_t kStranger = SIZE_MAX;  // a marked file that no image uses

struct Event {
  size_t blob = 0;
  Extent range;
  int number = -1;
  uint64_t asked = 0;
  uint64_t handed = 0;  // to the worker that lives
  bool reader_gone = false;
  bool of_unknown = false;  // which file it was for died with a worker
};

class SimulatedFanotify final : public SimulatedKernel {
 public:
  explicit SimulatedFanotify(Scene& scene);
  int prepare() override;
  Result<std::unique_ptr<KernelBackend>> connect(KeeperLink& keeper) override;
  std::vector<keeper::Received> files() override;
  void cut_off() override;
  void read(size_t blob, Extent range) override;
  void surprise() override;
  void turn() override;
  size_t waiting() const override { return queue_.size() + sent_.size(); }
  void rot(size_t blob) override;
  void empty(size_t blob) override;

 private:
  using Sent = std::list<Event>;
  void ask(size_t blob, Extent range);
  bool hand_out();
  Buffer record_of(Event& event);
  void take_answers();
  void judge_answer(const Event& event, int error);
  void take_wishes();
  void set_mark(const keeper::Message& message);
  void take_back_unread(Journal& dead);
  void leave_unread(Journal& dead, const Buffer& records, const std::vector<Sent::iterator>& events);
  void forget_release(int memory);
  void note_repetitions(const Journal& dead);

  std::unique_ptr<SocketPair> group_, keeper_;
  os::UniqueFd journal_;
  os::UniqueFd stranger_;
  std::vector<bool> marked_;
  std::vector<bool> created_;
  std::deque<Event> queue_;
  Sent sent_;  // oldest first
  int last_answered_ = -1;
  std::set<int> may_repeat_;  // answered by workers that died before they wrote that down
};

SimulatedFanotify::SimulatedFanotify(Scene& scene)
    : SimulatedKernel(scene), marked_(scene.blobs.size(), true), created_(marked_) {
  journal_ = std::move(*keeper::create_journal_memory());
  mkdir("blobs", 0700);
  for (const SimulatedBlob& blob : scene.blobs) {
    auto file = os::open("blobs/" + blob.id() + ".data", O_RDWR | O_CREAT, 0600);
    if (!file || ftruncate(file->get(), static_cast<off_t>(blob.size())) != 0) abort();
    files_.push_back(std::move(*file));
  }
  stranger_ = std::move(*os::open("stranger", O_RDWR | O_CREAT, 0600));
}

// --- a worker's life ---------------------------------------------------------

int SimulatedFanotify::prepare() {
  group_ = std::make_unique<SocketPair>();
  keeper_ = std::make_unique<SocketPair>();
  // A queue that is handed out in small pieces.
  int room = static_cast<int>(scene_.choices.between(1, 40) * 1024);
  setsockopt(group_->ours.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  return keeper_->theirs.get();
}

Result<std::unique_ptr<KernelBackend>> SimulatedFanotify::connect(KeeperLink& keeper) {
  TRY_ASSIGN(Journal journal, Journal::map(journal_.get()));
  last_answered_ = -1;
  for (Event& event : sent_) {
    event.handed = now();
    counters_.again++;
    numbers_.insert(event.number);
  }
  numbers_.insert(may_repeat_.begin(), may_repeat_.end());
  TRY_ASSIGN(auto backend, FanotifyBackend::create(group_->theirs.get(), std::move(journal), keeper));
  return std::unique_ptr<KernelBackend>(std::move(backend));
}

std::vector<keeper::Received> SimulatedFanotify::files() {
  std::vector<keeper::Received> all;
  for (size_t i = 0; i < files_.size(); i++) {
    keeper::Received file;
    struct stat status = {};
    fstat(files_[i].get(), &status);
    file.descriptor = os::UniqueFd(fcntl(files_[i].get(), F_DUPFD_CLOEXEC, 0));
    file.message.id = static_cast<uint32_t>(i + 1);
    file.message.device = status.st_dev;
    file.message.inode = status.st_ino;
    file.message.flags =
        (marked_[i] ? uint32_t{keeper::kMarked} : 0) | (created_[i] ? uint32_t{keeper::kCreated} : 0);
    scene_.blobs[i].id().copy(file.message.blob, keeper::kBlobIdLength);
    all.push_back(std::move(file));
  }
  created_.assign(files_.size(), false);
  return all;
}

void SimulatedFanotify::cut_off() {
  turn();
  // The journal as it is now: the worker's own end of life goes unseen.
  struct stat status = {};
  fstat(journal_.get(), &status);
  Buffer bytes(static_cast<size_t>(status.st_size));
  auto memory = keeper::create_journal_memory();
  if (!os::pread_exact(journal_.get(), 0, bytes, "journal") || !memory ||
      !os::pwrite_all(memory->get(), 0, bytes, "journal"))
    abort();
  forget_release(memory->get());
  Journal dead = std::move(*Journal::map(memory->get()));
  note_repetitions(dead);
  take_back_unread(dead);
  journal_ = std::move(*memory);
}

void SimulatedFanotify::note_repetitions(const Journal& dead) {
  may_repeat_.clear();
  for (const JournalSlot& slot : dead.slots())
    if (slot.used) may_repeat_.insert(slot.number);
  for (const Event& event : sent_) may_repeat_.erase(event.number);
}

// As if it had ended behind its last answer, before that was written down.
void SimulatedFanotify::forget_release(int memory) {
  if (last_answered_ < 0 || !scene_.choices.one_in(3)) return;
  for (const Event& event : sent_)
    if (event.number == last_answered_) return;
  Journal dead = std::move(*Journal::map(memory));
  std::span<const JournalSlot> slots = dead.slots();
  for (const JournalSlot& slot : slots)
    if (slot.used && slot.number == last_answered_) return;
  for (size_t i = 0; i < slots.size(); i++) {
    if (slots[i].used || slots[i].number != last_answered_) continue;
    JournalSlot slot = slots[i];
    slot.used = 1;
    auto bytes = ByteView(reinterpret_cast<const uint8_t*>(&slot), sizeof(slot));
    if (!os::pwrite_all(memory, kEventBufferBytes + i * sizeof(slot), bytes, "journal")) abort();
    return;
  }
}

// What nobody has read is queued again; the first of it may have been read and not written down.
void SimulatedFanotify::take_back_unread(Journal& dead) {
  bool read_by_worker = scene_.choices.one_in(2);
  Buffer records(64 << 10);
  std::vector<Sent::iterator> unread;
  for (;;) {
    ssize_t size = recv(group_->theirs.get(), records.data(), records.size(), 0);
    if (size <= 0) break;
    Buffer message(records.begin(), records.begin() + size);
    std::vector<FanotifyEvent> events;
    if (!parse_fanotify_events(message, events)) abort();
    std::vector<Sent::iterator> found;
    for (const FanotifyEvent& event : events)
      found.push_back(std::find_if(sent_.begin(), sent_.end(),
                                   [&](const Event& one) { return one.number == event.number; }));
    if (std::exchange(read_by_worker, false))
      leave_unread(dead, message, found);
    else
      unread.insert(unread.end(), found.begin(), found.end());
  }
  for (auto event = unread.rbegin(); event != unread.rend(); ++event) {
    if (*event == sent_.end()) abort();
    queue_.push_front(**event);
    sent_.erase(*event);
  }
}

void SimulatedFanotify::leave_unread(Journal& dead, const Buffer& records,
                                     const std::vector<Sent::iterator>& events) {
  std::copy(records.begin(), records.end(), dead.buffer().begin());
  size_t noted = scene_.choices.below(events.size() + 1);
  for (size_t i = 0; i < events.size(); i++) {
    Event& event = *events[i];
    uint32_t object = event.blob == kStranger ? kUnknownObject : static_cast<uint32_t>(event.blob + 1);
    if (i < noted) dead.take(event.number, object, event.range.offset, event.range.size);
    event.of_unknown = i >= noted || event.blob == kStranger;
  }
}

// --- readers ---------------------------------------------------------------------

void SimulatedFanotify::read(size_t blob, Extent range) {
  if (marked_[blob]) return ask(blob, range);
  counters_.unasked++;
  see(blob, range, files_[blob].get());
}

void SimulatedFanotify::ask(size_t blob, Extent range) {
  Event event;
  event.blob = blob;
  event.range = range;
  event.asked = now();
  counters_.asked++;
  queue_.push_back(event);
}

void SimulatedFanotify::surprise() {
  switch (scene_.choices.below(3)) {
    case 0: return ask(kStranger, {0, kPageSize});
    case 1:  // a reader that is queued is killed
      if (queue_.empty()) return;
      counters_.gone++;
      queue_.erase(queue_.begin() + static_cast<ptrdiff_t>(scene_.choices.below(queue_.size())));
      return;
    default:  // a reader the worker knows of is killed
      if (sent_.empty()) return;
      std::next(sent_.begin(), static_cast<ptrdiff_t>(scene_.choices.below(sent_.size())))->reader_gone =
          true;
  }
}

// What stopped cleanly is trusted, also when the next worker ended before it could say that it is in use.
void SimulatedFanotify::rot(size_t blob) {
  auto presence = load_presence(keeper::presence_path_of(scene_.blobs[blob].id()));
  if (!marked_[blob] || (presence && presence->clean)) return;
  const BlobLayout& layout = *scene_.blobs[blob].layout;
  if (layout.known().empty()) return;
  const ChunkSpan& span = layout.chunk(layout.known()[scene_.choices.below(layout.known().size())]);
  uint64_t at = span.uncompressed_offset + scene_.choices.below(padded_size(span));
  uint8_t byte = 0;
  if (!os::pread_exact(files_[blob].get(), at, MutableBytes(&byte, 1), "file")) abort();
  byte ^= 1;
  if (!os::pwrite_all(files_[blob].get(), at, ByteView(&byte, 1), "file")) abort();
}

void SimulatedFanotify::empty(size_t blob) {
  lose_everything(blob, keeper::presence_path_of(scene_.blobs[blob].id()));
  marked_[blob] = created_[blob] = true;
}

// --- questions and answers ----------------------------------------------------------

void SimulatedFanotify::turn() {
  take_answers();
  take_wishes();
  while (!queue_.empty() && hand_out()) {
  }
  for (const Event& event : sent_) check_time(event.handed, "a reader");
}

Buffer SimulatedFanotify::record_of(Event& event) {
  int file = event.blob == kStranger ? stranger_.get() : files_[event.blob].get();
  event.number = take_number(file, FD_CLOEXEC);
  event.handed = now();
  if (event.range.size == UINT64_MAX) return event_record_without_range(event.number);
  return event_record({event.number, event.range.offset, event.range.size});
}

bool SimulatedFanotify::hand_out() {
  size_t count = std::min<size_t>(queue_.size(), scene_.choices.between(1, 5));
  Buffer records;
  for (size_t i = 0; i < count; i++) append(records, record_of(queue_[i]));
  if (send(group_->ours.get(), records.data(), records.size(), 0) != static_cast<ssize_t>(records.size())) {
    for (size_t i = 0; i < count; i++) close(queue_[i].number);
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    sent_.push_back(queue_.front());
    queue_.pop_front();
  }
  scene_.loop->look();
  return true;
}

void SimulatedFanotify::take_answers() {
  abi::Response response = {};
  while (recv(group_->ours.get(), &response, sizeof(response), 0) == sizeof(response)) {
    auto event =
        std::find_if(sent_.begin(), sent_.end(), [&](const Event& one) { return one.number == response.fd; });
    if (event == sent_.end()) {
      scene_.judge.expect(may_repeat_.erase(response.fd) > 0, "number {} is answered, and nobody asked",
                          response.fd);
      continue;
    }
    last_answered_ = response.fd;
    counters_.answered++;
    if (!event->reader_gone) judge_answer(*event, static_cast<int>(response.response >> 24));
    sent_.erase(event);
  }
}

void SimulatedFanotify::judge_answer(const Event& event, int error) {
  check_time(event.handed, "an answered reader");
  if (event.blob == kStranger) {
    counters_.errors++;
    scene_.judge.expect(error == EIO || event.of_unknown, "a file nobody knows: answered {}", error);
    return;
  }
  if (error == 0) return see(event.blob, event.range, files_[event.blob].get());
  scene_.judge.expect(error == EIO, "error {} instead of EIO", error);
  if (!event.of_unknown) return check_error(event.blob, event.range, event.handed);
  // It was right to ask for the range in every file there is.
  counters_.errors++;
  scene_.judge.expect(scene_.had_faults(), "EIO without any fault");
}

void SimulatedFanotify::take_wishes() {
  for (;;) {
    auto received = keeper::receive_message(keeper_->ours.get());
    if (!received) return;
    if (received->message.op == keeper::Op::set_mark)
      set_mark(received->message);
    else
      scene_.judge.expect(received->message.op == keeper::Op::ready, "the keeper is asked for {}",
                          static_cast<uint32_t>(received->message.op));
  }
}

// Unmarked, everything must be there: nobody is asked any more.
void SimulatedFanotify::set_mark(const keeper::Message& message) {
  size_t blob = message.id - 1;
  marked_[blob] = (message.flags & keeper::kMarked) != 0;
  if (!marked_[blob]) see(blob, {0, UINT64_MAX}, files_[blob].get());
  keeper::Message reply;
  reply.op = keeper::Op::reply;
  reply.request = message.request;
  if (!keeper::send_message(keeper_->ours.get(), reply)) scene_.judge.fail("the keeper cannot answer");
  scene_.loop->look();
}

}  // namespace

std::unique_ptr<SimulatedKernel> simulate_fanotify(Scene& scene) {
  return std::make_unique<SimulatedFanotify>(scene);
}

}  // namespace fscached
