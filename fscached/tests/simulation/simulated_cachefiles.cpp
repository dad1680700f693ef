// The on-demand messages of /dev/cachefiles through a socket pair.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "fscached/kernel/cachefiles.h"
#include "fscached/kernel/existing_file.h"
#include "fscached/tests/allocations.h"
#include "fscached/tests/cachefiles_records.h"
#include "fscached/tests/completed_reads.h"
#include "fscached/tests/simulation/simulated_kernel.h"

namespace fscached {

namespace {

constexpr char kVolume[] = "erofs,domain";
constexpr size_t kStranger = SIZE_MAX;  // a file that no image uses

struct File {
  enum class State { closed, opening, open };
  State state = State::closed;
  uint32_t object = 0;  // the kernel's number of this opening
  int number = -1;      // its descriptor in the worker
};

struct Reader {
  size_t blob = 0;
  Extent rest;
};

struct Request {
  uint32_t kind = abi::kOpRead;
  size_t blob = 0;
  uint32_t object = 0;  // of a CLOSE
  Reader reader;
  bool handed = false;
  uint64_t since = 0;  // handed to the worker that lives
  bool reader_gone = false;
};

class SimulatedCachefiles final : public SimulatedKernel {
 public:
  explicit SimulatedCachefiles(Scene& scene);
  int prepare() override;
  Result<std::unique_ptr<KernelBackend>> connect(KeeperLink& keeper) override;
  void cut_off() override;
  void read(size_t blob, Extent range) override;
  void surprise() override;
  void turn() override;
  size_t waiting() const override { return requests_.size(); }
  void rot(size_t blob) override;
  void empty(size_t blob) override;

 private:
  int complete(int number, uint32_t id);
  uint32_t add(Request request);
  void go_on(Reader reader);
  void demand(const Reader& reader);
  void close_file(size_t blob);
  bool hand_out_one();
  void hand_out(uint32_t id, Request& request);
  void hand_out_open(uint32_t id, size_t blob);
  bool open_asked_for(size_t blob) const;
  void begin_opening(size_t blob);
  bool has_unread() const;
  void take_commands();
  void on_copen(const std::string& line);
  void restore();
  void take_back_unread();

  std::unique_ptr<SocketPair> device_;
  bool cut_off_ = true;
  bool reuses_ids_;  // kernels before 2024
  std::vector<File> opened_;
  std::map<uint32_t, Request> requests_;
  uint32_t last_id_ = 0;
  uint32_t last_handed_ = 0;
  uint32_t last_object_ = 0;
  CompletedReads completions_{[this](int number, uint32_t id) { return complete(number, id); }};
};

SimulatedCachefiles::SimulatedCachefiles(Scene& scene)
    : SimulatedKernel(scene), reuses_ids_(scene.choices.one_in(2)), opened_(scene.blobs.size()) {
  for (const SimulatedBlob& blob : scene.blobs) {
    CookiePlace place = place_of({kVolume, blob.id()});
    std::string folder = std::string(kCachefilesFolder) + "/" + place.folder;
    if (!os::make_directories(folder, 0700)) abort();
    auto file = os::open(folder + "/" + place.file, O_RDWR | O_CREAT, 0600);
    if (!file || ftruncate(file->get(), static_cast<off_t>(blob.size())) != 0) abort();
    files_.push_back(std::move(*file));
  }
}

// --- a worker's life ---------------------------------------------------------

int SimulatedCachefiles::prepare() {
  device_ = std::make_unique<SocketPair>();
  return -1;
}

Result<std::unique_ptr<KernelBackend>> SimulatedCachefiles::connect(KeeperLink&) {
  cut_off_ = false;
  TRY_ASSIGN(auto backend, CachefilesBackend::create(device_->theirs.get()));
  return std::unique_ptr<KernelBackend>(std::move(backend));
}

void SimulatedCachefiles::cut_off() {
  turn();
  take_back_unread();
  cut_off_ = true;
  for (File& file : opened_) file = {};
}

// What nobody has read is new; what was read comes again only when the successor says so.
void SimulatedCachefiles::take_back_unread() {
  uint8_t buffer[kMaxCachefilesMessage];
  for (;;) {
    ssize_t size = recv(device_->theirs.get(), buffer, sizeof(buffer), 0);
    if (size <= 0) return;
    CachefilesMessage message;
    if (!parse_cachefiles_message(ByteView(buffer, static_cast<size_t>(size)), message)) abort();
    auto request = requests_.find(message.id);
    if (request != requests_.end()) request->second.handed = false;
  }
}

void SimulatedCachefiles::restore() {
  for (auto& [id, request] : requests_) {
    if (request.handed) counters_.again++;
    request.handed = false;
  }
}

// --- readers ---------------------------------------------------------------------

uint32_t SimulatedCachefiles::add(Request request) {
  uint32_t id = reuses_ids_ ? 0 : last_id_ + 1;
  while (requests_.count(id)) id++;
  request.since = now();
  requests_[id] = request;
  return last_id_ = id;
}

void SimulatedCachefiles::read(size_t blob, Extent range) {
  range = clip(blob, range);
  if (range.size > 0) go_on({blob, range});
}

// What is there needs nobody; the rest is asked for.
void SimulatedCachefiles::go_on(Reader reader) {
  int fd = files_[reader.blob].get();
  off_t data = lseek(fd, static_cast<off_t>(reader.rest.offset), SEEK_DATA);
  if (data != static_cast<off_t>(reader.rest.offset)) return demand(reader);
  off_t hole = lseek(fd, data, SEEK_HOLE);
  uint64_t there = std::min<uint64_t>(static_cast<uint64_t>(hole) - reader.rest.offset, reader.rest.size);
  see(reader.blob, {reader.rest.offset, there}, fd);
  reader.rest = {reader.rest.offset + there, reader.rest.size - there};
  if (reader.rest.size > 0) return demand(reader);
  counters_.unasked++;
}

void SimulatedCachefiles::demand(const Reader& reader) {
  counters_.asked++;
  Request request;
  request.blob = reader.blob;
  request.reader = reader;
  add(request);
}

// READ_COMPLETE on a descriptor of the worker; an errno.
int SimulatedCachefiles::complete(int number, uint32_t id) {
  OwnAllocations ours;
  if (cut_off_) return EBADF;
  auto found = requests_.find(id);
  if (found == requests_.end()) return EINVAL;
  Request request = found->second;
  bool handed = request.handed && !(id == last_handed_ && has_unread());
  if (request.kind != abi::kOpRead || !handed || opened_[request.blob].number != number) return EINVAL;
  requests_.erase(found);
  counters_.answered++;
  check_time(request.since, "a completed reader");
  if (request.reader_gone) return 0;
  uint64_t at = request.reader.rest.offset;
  if (lseek(files_[request.blob].get(), static_cast<off_t>(at), SEEK_DATA) == static_cast<off_t>(at))
    go_on(request.reader);
  else
    check_error(request.blob, {at, 1}, request.since);
  return 0;
}

void SimulatedCachefiles::surprise() {
  switch (scene_.choices.below(3)) {
    case 0: {  // a file no image has
      Request request;
      request.kind = abi::kOpOpen;
      request.blob = kStranger;
      add(request);
      return;
    }
    case 1: return close_file(scene_.choices.below(opened_.size()));
    default:  // a reader is killed: its request vanishes
      for (auto& [id, request] : requests_) {
        if (request.kind != abi::kOpRead || !scene_.choices.one_in(3)) continue;
        counters_.gone++;
        requests_.erase(id);
        return;
      }
  }
}

// Its readers are let go, whatever they waited for; the file is opened again for the next one.
void SimulatedCachefiles::close_file(size_t blob) {
  File& file = opened_[blob];
  if (file.state != File::State::open) return;
  counters_.gone += std::erase_if(requests_, [&](const auto& entry) {
    return entry.second.blob == blob && entry.second.kind == abi::kOpRead;
  });
  Request request;
  request.kind = abi::kOpClose;
  request.blob = blob;
  request.object = file.object;
  add(request);
  file = {};
}

// Nobody notices what changes in the kernel's own file: what gets lost there becomes a hole.
void SimulatedCachefiles::rot(size_t blob) {
  uint64_t page = scene_.choices.below(scene_.blobs[blob].size() / kPageSize);
  if (!make_hole(files_[blob].get(), {page * kPageSize, kPageSize})) abort();
}

void SimulatedCachefiles::empty(size_t blob) {
  lose_everything(blob, presence_of({kVolume, scene_.blobs[blob].id()}));
}

// --- messages ----------------------------------------------------------------------

void SimulatedCachefiles::turn() {
  take_commands();
  while (!has_unread() && hand_out_one()) {
  }
  for (auto& [id, request] : requests_)
    if (request.handed) check_time(request.since, request.kind == abi::kOpRead ? "a reader" : "an opening");
}

// One message at a time: a kernel chooses only when it is read.
bool SimulatedCachefiles::has_unread() const {
  uint8_t byte = 0;
  return recv(device_->theirs.get(), &byte, 1, MSG_PEEK) >= 0;
}

// Requests in turn from the last one on; a file that is not open is opened first.
bool SimulatedCachefiles::hand_out_one() {
  for (size_t i = 0; i < requests_.size(); i++) {
    auto next = requests_.upper_bound(last_handed_);
    if (next == requests_.end()) next = requests_.begin();
    last_handed_ = next->first;
    Request& request = next->second;
    if (request.handed) continue;
    if (request.kind == abi::kOpRead) {
      File& file = opened_[request.blob];
      if (file.state == File::State::closed) {
        begin_opening(request.blob);
        return true;
      }
      if (file.state != File::State::open) continue;
    }
    hand_out(next->first, request);
    return true;
  }
  return false;
}

bool SimulatedCachefiles::open_asked_for(size_t blob) const {
  return std::any_of(requests_.begin(), requests_.end(), [blob](const auto& entry) {
    return entry.second.kind == abi::kOpOpen && entry.second.blob == blob;
  });
}

// One opening at a time: the kernel's work item for it waits until the one that a dead worker left is
// answered, and finds the file open then.
void SimulatedCachefiles::begin_opening(size_t blob) {
  opened_[blob].state = File::State::opening;
  if (open_asked_for(blob)) return;
  Request open;
  open.kind = abi::kOpOpen;
  open.blob = blob;
  add(open);
}

void SimulatedCachefiles::hand_out(uint32_t id, Request& request) {
  request.handed = true;
  request.since = now();
  if (request.kind == abi::kOpOpen) {
    hand_out_open(id, request.blob);
  } else {
    Buffer bytes = request.kind == abi::kOpRead
                       ? read_message(id, opened_[request.blob].object, request.reader.rest.offset,
                                      request.reader.rest.size)
                       : close_message(id, request.object);
    if (send(device_->ours.get(), bytes.data(), bytes.size(), 0) < 0) abort();
    if (request.kind == abi::kOpClose) requests_.erase(id);
  }
  scene_.loop->look();
}

void SimulatedCachefiles::hand_out_open(uint32_t id, size_t blob) {
  bool known = blob != kStranger;
  int number = take_number(known ? files_[blob].get() : device_->ours.get(), 0);
  uint32_t object = ++last_object_;
  Buffer bytes =
      open_message(id, object, number, kVolume, known ? scene_.blobs[blob].id() : std::string("stranger"));
  if (send(device_->ours.get(), bytes.data(), bytes.size(), 0) < 0) abort();
  if (!known) return;
  scene_.judge.expect(opened_[blob].state != File::State::open, "file {} is to be opened twice", blob);
  opened_[blob] = {File::State::opening, object, number};
}

void SimulatedCachefiles::take_commands() {
  char line[256];
  for (ssize_t size; (size = recv(device_->ours.get(), line, sizeof(line), 0)) > 0;) {
    std::string command(line, static_cast<size_t>(size));
    if (command == "restore")
      restore();
    else if (command.starts_with("copen "))
      on_copen(command.substr(6));
    else
      scene_.judge.fail("the command '{}'", command);
  }
}

void SimulatedCachefiles::on_copen(const std::string& line) {
  uint32_t id = static_cast<uint32_t>(strtoul(line.c_str(), nullptr, 10));
  long long size = strtoll(line.substr(line.find(',') + 1).c_str(), nullptr, 10);
  auto found = requests_.find(id);
  if (found == requests_.end() || found->second.kind != abi::kOpOpen || !found->second.handed)
    return scene_.judge.fail("copen {}: nobody waits for it", line);
  size_t blob = found->second.blob;
  requests_.erase(found);
  if (blob == kStranger) return scene_.judge.expect(size == -ENOENT, "a file nobody knows: copen {}", line);
  scene_.judge.expect(size == static_cast<long long>(scene_.blobs[blob].size()), "copen {}: has {} bytes",
                      line, scene_.blobs[blob].size());
  opened_[blob].state = File::State::open;
}

}  // namespace

std::unique_ptr<SimulatedKernel> simulate_cachefiles(Scene& scene) {
  return std::make_unique<SimulatedCachefiles>(scene);
}

}  // namespace fscached
