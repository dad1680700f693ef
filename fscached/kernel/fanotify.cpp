#include "fscached/kernel/fanotify.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "erofs-format/base/log.h"
#include "fscached/fault_point.h"
#include "fscached/keeper/data_files.h"
#include "fscached/keeper/worker_process.h"
#include "fscached/kernel/fanotify_abi.h"
#include "fscached/kernel/marked_file.h"
#include "fscached/kernel/prune.h"

namespace fscached {

using keeper::Message;
using keeper::Op;
using keeper::Received;

namespace {

constexpr size_t kRecordBytes = sizeof(abi::EventMetadata) + sizeof(abi::InfoRange);
// A record without range is half as long: this many can come where one full record is asked for.
constexpr size_t kMostPerRecord = 2;

void error_line(const std::string& message) { log_line(LogLevel::error, "fanotify", message); }

}  // namespace

Result<std::unique_ptr<FanotifyBackend>> FanotifyBackend::create(int group, Journal journal,
                                                                 KeeperLink& keeper) {
  std::unique_ptr<FanotifyBackend> backend(new FanotifyBackend(group, std::move(journal), keeper));
  TRY(backend->adopt());
  return backend;
}

FanotifyBackend::FanotifyBackend(int group, Journal journal, KeeperLink& keeper)
    : group_(group), journal_(std::move(journal)), keeper_(keeper), pending_(kMaxPendingEvents) {
  events_.reserve(kEventBufferBytes / sizeof(abi::EventMetadata));
  batch_.reserve(events_.capacity());
}

// A worker that goes away leaves its pending events to the next one: the journal has them.
FanotifyBackend::~FanotifyBackend() {
  if (poll_) loop_->cancel(poll_);
}

// --- files ------------------------------------------------------------------

void FanotifyBackend::restore(Loop& loop, KernelSink& sink, std::vector<Received> files) {
  loop_ = &loop;
  sink_ = &sink;
  for (Received& file : files) {
    std::string blob(file.message.blob, keeper::kBlobIdLength);
    restored_.emplace(std::move(blob), std::move(file));
  }
}

std::string FanotifyBackend::presence_path(const KernelName&, const std::string& blob) const {
  return keeper::presence_path_of(blob);
}

AttachedFile FanotifyBackend::adopt_file(Received received) {
  const Message& message = received.message;
  Known& known = objects_[Key{message.device, message.inode}];
  AttachedFile attached;
  attached.id = message.id;
  attached.presence_path = presence_path({}, std::string(message.blob, keeper::kBlobIdLength));
  if (!known.file) {
    known.id = message.id;
    known.blob.assign(message.blob, keeper::kBlobIdLength);
    known.file = std::make_shared<MarkedFile>(*loop_, keeper_, message.id, std::move(received.descriptor));
    if (!(message.flags & keeper::kCreated)) attached.presence = load_presence(attached.presence_path);
  }
  attached.file = known.file;
  return attached;
}

void FanotifyBackend::attach(const KernelName&, Layout layout, Attached done) {
  auto restored = restored_.find(layout->blob().id);
  if (restored != restored_.end()) {
    bool watched = (restored->second.message.flags & keeper::kMarked) != 0;
    AttachedFile attached = adopt_file(std::move(restored->second));
    attached.watched = watched;
    return done(std::move(attached));
  }
  if (!started_) return done(make_error(Code::internal, "the keeper has no file of the blob"));
  // A file must not go while it is being attached, nor come back while it goes.
  if (pruning_) {
    after_prune_.push_back([this, layout, done = std::move(done)] { ask_keeper(layout, done); });
    return;
  }
  ask_keeper(layout, std::move(done));
}

void FanotifyBackend::ask_keeper(const Layout& layout, Attached done) {
  Message message;
  message.op = Op::attach;
  message.size = layout->file_size();
  std::string blob = layout->blob().id;
  blob.copy(message.blob, keeper::kBlobIdLength);
  attaching_.insert(blob);
  keeper_.call(message, [this, blob, done = std::move(done)](Result<Received> reply) {
    attaching_.erase(attaching_.find(blob));
    fault_point(10);
    if (!reply) return done(std::move(reply).error());
    AttachedFile attached = adopt_file(std::move(*reply));
    // An earlier "complete" of the same blob may have crossed the request: now it is marked for certain.
    attached.file->set_watched(true);
    done(std::move(attached));
  });
}

void FanotifyBackend::let_go(ObjectId id) {
  Message message;
  message.op = Op::let_go;
  message.id = id;
  keeper_.tell(message);
}

void FanotifyBackend::offer(const KernelName& image, std::function<void(Result<void>)> done) {
  bool is_new = offered_.emplace(image.domain, image.fsid).second;
  done(is_new ? Result<void>() : fsid_in_use(image));
}

void FanotifyBackend::describe_mount(const std::vector<ObjectId>& objects, Message& message) const {
  message.file_count = static_cast<uint32_t>(objects.size());
  std::copy(objects.begin(), objects.end(), message.files);
}

std::string FanotifyBackend::mount_line(const KernelName& image,
                                        const std::vector<std::string>& blobs) const {
  std::string root = std::filesystem::current_path();
  std::string devices;
  for (const std::string& blob : blobs)
    devices += fmt::format("{}device={}/blobs/{}.data", devices.empty() ? "" : ",", root, blob);
  return fmt::format("mount -t erofs -o ro{}{} {}/mounts/{}/image.boot MOUNTPOINT",
                     devices.empty() ? "" : ",", devices, root, image.id);
}

void FanotifyBackend::prune(const PruneWish& wish, std::function<void(Result<uint64_t>)> done) {
  if (pruning_) return done(errno_error("prune", EBUSY));
  pruning_ = true;
  std::set<std::string> used;
  for (auto& [key, known] : objects_) used.insert(fmt::format("blobs/{}.data", known.blob));
  for (const std::string& blob : attaching_) used.insert(fmt::format("blobs/{}.data", blob));
  janitor_.submit([this, used, wish, done = std::move(done)](size_t) {
    auto freed = std::make_shared<Result<uint64_t>>(prune_folder("blobs", used, wish));
    loop_->post([this, freed, done] {
      pruned();
      done(std::move(*freed));
    });
  });
}

void FanotifyBackend::pruned() {
  pruning_ = false;
  for (auto& attachment : std::exchange(after_prune_, {})) attachment();
}

void FanotifyBackend::on_notice(const Message& notice) {
  if (notice.op != Op::released_file) return;
  std::erase_if(objects_, [&](const auto& entry) { return entry.second.id == notice.id; });
  sink_->on_released(notice.id);
}

// --- the dead worker's events -----------------------------------------------

// The kernel matches answers by number alone, oldest event first. A number that an
// orphan waits under must not be given to a new event.
Result<void> FanotifyBackend::reserve_number(int32_t number) {
  if (number < keeper::kWorkerFirstFree || number >= static_cast<int32_t>(kMaxDescriptors))
    return make_error(Code::internal, fmt::format("journal: event number {}", number));
  if (fcntl(number, F_GETFD) >= 0) return {};
  os::UniqueFd placeholder(::open("/dev/null", O_PATH | O_CLOEXEC));
  if (!placeholder.valid()) return errno_error("/dev/null");
  if (placeholder.get() == number) {
    placeholder.release();
    return {};
  }
  if (dup3(placeholder.get(), number, O_CLOEXEC) < 0) return errno_error("journal: reserving a number");
  return {};
}

Result<void> FanotifyBackend::adopt() {
  std::span<const JournalSlot> slots = journal_.slots();
  for (uint32_t i = 0; i < slots.size(); i++)
    if (slots[i].used) orphans_.push_back(i);
  // Records read by the dead worker's last read but not yet written down. Which file each
  // was for died with its descriptor; a record half copied into slots is there already.
  auto parsed = parse_fanotify_events(journal_.buffer(), events_);
  if (!parsed) error_line(parsed.error().message);
  for (const FanotifyEvent& event : events_) {
    bool known = std::any_of(orphans_.begin(), orphans_.end(),
                             [&](uint32_t slot) { return slots[slot].number == event.number; });
    if (known || !event.permission || journal_.free_slots() == 0) continue;
    orphans_.push_back(journal_.take(event.number, kUnknownObject, event.offset, event.count));
  }
  events_.clear();
  journal_.clear_buffer(kEventBufferBytes);
  fault_point(8);
  for (uint32_t slot : orphans_) {
    TRY(reserve_number(slots[slot].number));
    pending_[slot] = {slots[slot].number, 0, 0};
  }
  counters_.orphans = orphans_.size();
  return {};
}

// An event of unknown object is right when the range is there in every object it could be.
void FanotifyBackend::serve_candidates(uint32_t slot, const JournalSlot& orphan) {
  std::vector<ObjectId> candidates;
  for (auto& [key, known] : objects_) candidates.push_back(known.id);
  std::sort(candidates.begin(), candidates.end());  // so that the same events are always served alike
  pending_[slot].parts = static_cast<uint32_t>(candidates.size());
  if (candidates.empty() || candidates.size() > kMaxOrphanCandidates) {
    // The kernel asks again for the single page before a reader sees the error.
    pending_[slot].parts = 1;
    answer(slot, EIO);
    return;
  }
  for (ObjectId id : candidates) sink_->on_request({id, orphan.offset, orphan.count, 0}, Ticket(*this, slot));
}

void FanotifyBackend::serve_orphans() {
  for (uint32_t slot : orphans_) {
    fault_point(9);
    JournalSlot orphan = journal_.slots()[slot];
    if (orphan.object == kUnknownObject) {
      serve_candidates(slot, orphan);
    } else {
      hand_over(slot, {orphan.object, orphan.offset, orphan.count, 0});
    }
  }
  orphans_.clear();
}

// --- new events ---------------------------------------------------------------

void FanotifyBackend::start() {
  started_ = true;
  restored_.clear();
  if (!orphans_.empty())
    log_line(LogLevel::warn, "fanotify",
             fmt::format("answering {} events of a worker that ended", orphans_.size()));
  serve_orphans();
  poll_ = loop_->poll(group_, POLLIN, [this](int32_t) { drain(); });
  drain();
}

// The poll tells of edges: reads until the queue is empty, but lets other work have its turn. Waking an idle
// processor takes longer than an answer, and one miss is seldom alone: with nothing else to wait for, it
// looks again for a moment before it sleeps.
void FanotifyBackend::drain() {
  if (draining_) return;
  draining_ = true;
  full_ = false;
  unsigned reads = 0;
  uint64_t look_until = 0;
  for (;;) {
    if (read_events()) {
      if (++reads == kReadsPerWakeUp) {
        loop_->after_ms(0, [this](int32_t) { drain(); });
        break;
      }
      look_until = loop_->now_ns() + kLookAgainNs;
    } else if (full_ || journal_.free_slots() != kMaxPendingEvents || loop_->now_ns() >= look_until) {
      break;
    }
  }
  draining_ = false;
}

bool FanotifyBackend::read_events() {
  size_t records = std::min(journal_.free_slots() / kMostPerRecord, kEventBufferBytes / kRecordBytes);
  if (records == 0) {
    full_ = true;
    return false;
  }
  std::span<uint8_t> buffer = journal_.buffer().first(records * kRecordBytes);
  ssize_t size = ::read(group_, buffer.data(), buffer.size());
  if (size < 0 && errno == EINTR) return true;
  if (size < 0 && errno == EMFILE) {
    // The kernel denied that event; its reader asks again.
    error_line("out of descriptors");
    return true;
  }
  if (size <= 0) {
    if (size < 0 && errno != EAGAIN) error_line(errno_error("read").message);
    return false;
  }
  auto parsed = parse_fanotify_events(buffer.first(static_cast<size_t>(size)), events_);
  if (!parsed) error_line(parsed.error().message);
  fault_point(1);
  for (const FanotifyEvent& event : events_) note(event);
  fault_point(3);
  journal_.clear_buffer(static_cast<size_t>(size));
  events_.clear();
  fault_point(4);
  // Answers only now, with every record of this read written down.
  for (auto& [slot, request] : batch_) hand_over(slot, request);
  batch_.clear();
  return true;
}

void FanotifyBackend::note(const FanotifyEvent& event) {
  if (event.overflow) error_line("the queue overflowed: readers may have seen holes as zeros");
  if (!event.permission) {
    if (event.number >= 0) close(event.number);
    return;
  }
  counters_.events++;
  ObjectId object = object_of(event.number);
  uint32_t slot = journal_.take(event.number, object, event.offset, event.count);
  pending_[slot] = {event.number, 0, 0};
  fault_point(2);
  batch_.emplace_back(slot, KernelRequest{object, event.offset, event.count, event.pid});
}

ObjectId FanotifyBackend::object_of(int descriptor) const {
  struct stat status = {};
  if (fstat(descriptor, &status) != 0) return kUnknownObject;
  auto found = objects_.find(Key{status.st_dev, status.st_ino});
  return found == objects_.end() ? kUnknownObject : found->second.id;
}

void FanotifyBackend::hand_over(uint32_t slot, const KernelRequest& request) {
  pending_[slot].parts = 1;
  if (request.object == kUnknownObject) {
    error_line("a read of a marked file that no image uses");
    return answer(slot, EIO);
  }
  sink_->on_request(request, Ticket(*this, slot));
}

// --- answers --------------------------------------------------------------------

void FanotifyBackend::respond(int32_t number, int error) {
  abi::Response response = {number, error ? abi::deny_with(error) : FAN_ALLOW};
  (error ? counters_.denied : counters_.allowed)++;
  ssize_t written = 0;
  do written = ::write(group_, &response, sizeof(response));
  while (written < 0 && errno == EINTR);
  // ENOENT: a dead worker had answered it already.
  if (written < 0 && errno != ENOENT) error_line(errno_error("answer").message);
}

void FanotifyBackend::answer(uint32_t slot, int error) {
  Pending& pending = pending_[slot];
  if (error) pending.error = error;
  if (--pending.parts > 0) return;
  fault_point(5);
  respond(pending.number, pending.error);
  fault_point(6);
  journal_.release(slot);
  fault_point(7);
  // Only after the slot is free may the number be used again.
  close(pending.number);
  if (full_ && journal_.free_slots() >= kMaxPendingEvents / 2) {
    full_ = false;
    loop_->after_ms(0, [this](int32_t) { drain(); });
  }
}

}  // namespace fscached
