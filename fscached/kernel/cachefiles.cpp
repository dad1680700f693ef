#include "fscached/kernel/cachefiles.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "erofs-format/base/log.h"
#include "fscached/fault_point.h"
#include "fscached/kernel/cachefiles_abi.h"
#include "fscached/kernel/existing_file.h"
#include "fscached/kernel/prune.h"
#include "fscached/limits.h"

namespace fscached {

namespace {

void error_line(const std::string& message) { log_line(LogLevel::error, "cachefiles", message); }

std::string message_of_abandoned(const CookieName& name) {
  return fmt::format("{}: read, but its image could not be restored", name.cookie);
}

CookieName bootstrap_cookie(const KernelName& image) {
  return {volume_key(image.fsid, image.domain), image.fsid};
}

}  // namespace

// The loop's ring lives on for a moment when the worker has ended, with every file it polls. Held like that,
// the device would keep the kernel's cache bound after the daemon is gone. An epoll holds nothing.
Result<std::unique_ptr<CachefilesBackend>> CachefilesBackend::create(int device) {
  os::UniqueFd watch(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event = {};
  event.events = EPOLLIN;
  if (!watch.valid() || epoll_ctl(watch.get(), EPOLL_CTL_ADD, device, &event) != 0)
    return errno_error("cachefiles: epoll");
  return std::unique_ptr<CachefilesBackend>(new CachefilesBackend(device, std::move(watch)));
}

CachefilesBackend::CachefilesBackend(int device, os::UniqueFd watch)
    : device_(device),
      watch_(std::move(watch)),
      pending_(kMaxPendingReads),
      directory_(device, kCachefilesFolder) {
  for (uint32_t i = kMaxPendingReads; i-- > 0;) free_.push_back(i);
}

// What is not answered the kernel gives to the next worker.
CachefilesBackend::~CachefilesBackend() {
  if (poll_) loop_->cancel(poll_);
}

Result<void> CachefilesBackend::command(const std::string& line) {
  if (::write(device_, line.data(), line.size()) < 0) return errno_error("cachefiles: " + line);
  return {};
}

// --- files -------------------------------------------------------------------

void CachefilesBackend::restore(Loop& loop, KernelSink& sink, std::vector<keeper::Received>) {
  loop_ = &loop;
  sink_ = &sink;
}

std::string CachefilesBackend::presence_path(const KernelName& image, const std::string& blob) const {
  return presence_of({volume_key(image.fsid, image.domain), blob});
}

AttachedFile CachefilesBackend::add_blob(const CookieName& name, const BlobLayout& layout,
                                         std::optional<Presence> presence) {
  Known& known = known_[name];
  known.cookie = std::make_shared<Cookie>(*loop_, directory_, name, layout.file_size());
  known.id = ++last_id_;
  AttachedFile attached;
  attached.id = known.id;
  attached.file = known.cookie;
  attached.presence_path = presence_of(name);
  attached.presence = std::move(presence);
  return attached;
}

void CachefilesBackend::attach(const KernelName& image, Layout layout, Attached done) {
  CookieName name = {volume_key(image.fsid, image.domain), layout->blob().id};
  auto found = known_.find(name);
  if (found != known_.end()) {
    Known& known = found->second;
    if (known.local || known.cookie->size() != layout->file_size())
      return done(
          make_error(Code::invalid_argument,
                     fmt::format("blob {}: another image of its domain says it has {} bytes, this one {}",
                                 name.cookie, known.cookie->size(), layout->file_size())));
    if (known.is_abandoned())
      known.id = ++last_id_;
    else
      known.uses++;
    return done(AttachedFile{known.id, known.cookie, presence_of(name), std::nullopt});
  }
  std::string path = presence_of(name);
  if (auto made = os::make_directories(os::parent_directory(path), 0700); !made)
    return done(std::move(made).error());
  // The files of a predecessor are in use: the kernel has kept them since.
  if (!started_) return done(add_blob(name, *layout, load_presence(path)));
  admit(image, name, layout, std::move(done));
}

// What an earlier life left may be changed here, so two images that come with the same blob take turns.
void CachefilesBackend::admit(const KernelName& image, const CookieName& name, const Layout& layout,
                              Attached done) {
  auto under_way = admitting_.find(name);
  if (under_way != admitting_.end())
    return under_way->second.push_back([this, image, layout, done] { attach(image, layout, done); });
  admitting_[name];
  directory_.run([this, name, layout, done = std::move(done)] {
    auto admitted = std::make_shared<Result<Admitted>>(admit_existing_file(directory_, name, *layout));
    loop_->post([this, name, layout, admitted, done] {
      auto waiting = admitting_.extract(name);
      if (*admitted) {
        AttachedFile attached = add_blob(name, *layout, std::move((*admitted)->presence));
        attached.rehashed = (*admitted)->rehashed;
        done(std::move(attached));
      } else {
        done(std::move(*admitted).error());
      }
      for (auto& attach_now : waiting.mapped()) attach_now();
    });
  });
}

void CachefilesBackend::let_go(ObjectId id) {
  for (auto known = known_.begin(); known != known_.end(); ++known) {
    if (known->second.id != id || --known->second.uses > 0) continue;
    known_.erase(known);
    return sink_->on_released(id);
  }
}

Result<void> CachefilesBackend::check_name(const KernelName& image) const {
  TRY(check_cookie_word("fsid", image.fsid));
  if (!image.domain.empty()) TRY(check_cookie_word("domain", image.domain));
  for (auto& [name, known] : known_) {
    if (name == bootstrap_cookie(image)) return fsid_in_use(image);
    if (known.local && known.shown_as == sysfs_name(image.fsid, image.domain))
      return make_error(
          Code::invalid_argument,
          fmt::format("fsid '{}': begins like '{}', and kernels look at the first 36 characters with "
                      "those of the domain",
                      image.fsid, name.cookie));
  }
  return {};
}

Result<void> CachefilesBackend::add_bootstrap(const KernelName& image) {
  CookieName name = bootstrap_cookie(image);
  TRY(check_name(image));
  std::string path = fmt::format("mounts/{}/image.boot", image.id);
  TRY_ASSIGN(os::UniqueFd source, os::open(path, O_RDONLY | O_NOFOLLOW));
  TRY_ASSIGN(struct stat status, os::stat_of(source.get(), path));
  Known& known = known_[name];
  known.cookie = std::make_shared<Cookie>(*loop_, directory_, name, static_cast<uint64_t>(status.st_size));
  known.local = std::make_shared<LocalCookie>(*loop_, known.cookie, std::move(source));
  known.shown_as = sysfs_name(image.fsid, image.domain);
  known.may_open = !started_;
  return {};
}

void CachefilesBackend::offer(const KernelName& image, std::function<void(Result<void>)> done) {
  auto added = add_bootstrap(image);
  if (!added || !started_) return done(std::move(added));
  // What another image left under this name the kernel would take for this one's.
  directory_.run([this, name = bootstrap_cookie(image), done = std::move(done)] {
    auto culled = cull_when_free(directory_, name);
    loop_->post([this, name, culled, done] {
      if (culled)
        known_.at(name).may_open = true;
      else
        known_.erase(name);
      done(culled);
    });
  });
}

// Its file is of no use to another image.
void CachefilesBackend::withdraw(const KernelName& image) {
  CookieName name = bootstrap_cookie(image);
  known_.erase(name);
  directory_.run([this, name] {
    if (auto culled = directory_.cull(name); !culled) error_line(culled.error().message);
  });
}

void CachefilesBackend::abandon(const KernelName& image) {
  abandoned_.insert(volume_key(image.fsid, image.domain));
}

// Refused, the kernel would ask to open it again for as long as somebody reads it: it opens, and each read
// fails.
CachefilesBackend::KnownFiles::iterator CachefilesBackend::adopt_abandoned(const CookieName& name) {
  if (!abandoned_.count(name.volume)) return known_.end();
  auto file = directory_.open(name, O_RDONLY);
  auto status = file ? os::stat_of(file->get(), name.cookie) : Result<struct stat>(std::move(file).error());
  if (!status) return known_.end();
  uint64_t size = static_cast<uint64_t>(status->st_size);
  auto known = known_.try_emplace(name).first;
  known->second.cookie = std::make_shared<Cookie>(*loop_, directory_, name, size);
  return known;
}

std::string CachefilesBackend::mount_line(const KernelName& image, const std::vector<std::string>&) const {
  return fmt::format("mount -t erofs none -o fsid={}{}{} MOUNTPOINT", image.fsid,
                     image.domain.empty() ? "" : ",domain_id=", image.domain);
}

void CachefilesBackend::prune(const PruneWish& wish, std::function<void(Result<uint64_t>)> done) {
  std::set<CookieName> used;
  for (auto& [name, known] : known_) used.insert(name);
  for (auto& [name, waiting] : admitting_) used.insert(name);
  directory_.run([this, used, wish, done = std::move(done)] {
    auto freed = std::make_shared<Result<uint64_t>>(prune_cache(directory_, used, wish));
    loop_->post([freed, done] { done(std::move(*freed)); });
  });
}

// --- messages ------------------------------------------------------------------

// What the files of a predecessor hold, the kernel knows better than any record.
void CachefilesBackend::report_kept() {
  for (auto& [name, known] : known_) {
    if (known.local) continue;
    auto file = directory_.open(name, O_RDONLY);
    if (!file) continue;
    Extent whole = {0, known.cookie->size()};
    if (auto data = data_extents(file->get(), whole)) sink_->on_kept(known.id, whole, *data);
  }
}

void CachefilesBackend::start() {
  started_ = true;
  fault_point(26);
  report_kept();
  // Requests a predecessor had read and not answered come again.
  if (auto restored = command("restore"); !restored)
    log_line(LogLevel::warn, "cachefiles",
             restored.error().message + ": readers that wait while a worker dies will see errors");
  fault_point(27);
  poll_ = loop_->poll(watch_.get(), POLLIN, [this](int32_t) { drain(); });
  drain();
}

// An empty read is normal: the read itself may have begun to open a file again, which wakes the poll when
// done.
void CachefilesBackend::drain() {
  if (draining_) return;
  draining_ = true;
  full_ = false;
  unsigned reads = 0;
  while (read_message()) {
    if (++reads < kReadsPerWakeUp) continue;
    loop_->after_ms(0, [this](int32_t) { drain(); });
    break;
  }
  draining_ = false;
}

bool CachefilesBackend::read_message() {
  if (free_.empty()) {
    full_ = true;
    return false;
  }
  uint8_t buffer[kMaxCachefilesMessage];
  ssize_t size = ::read(device_, buffer, sizeof(buffer));
  if (size < 0 && errno == EINTR) return true;
  if (size <= 0) {
    if (size < 0) error_line(errno_error("read").message);
    return false;
  }
  fault_point(20);
  CachefilesMessage message;
  auto parsed = parse_cachefiles_message(ByteView(buffer, static_cast<size_t>(size)), message);
  if (!parsed) {
    error_line(parsed.error().message);
    if (message.kind == CachefilesMessage::Kind::open) refuse_open(message.id);
    if (message.fd >= 0) close(message.fd);
    return true;
  }
  handle(message);
  return true;
}

void CachefilesBackend::handle(const CachefilesMessage& message) {
  switch (message.kind) {
    case CachefilesMessage::Kind::open: return on_open(message);
    case CachefilesMessage::Kind::close: return on_close(message);
    case CachefilesMessage::Kind::read: return on_read(message);
    case CachefilesMessage::Kind::unknown: return;
  }
}

void CachefilesBackend::refuse_open(uint32_t request) {
  if (auto refused = command(fmt::format("copen {},{}", request, -ENOENT)); !refused)
    error_line(refused.error().message);
}

// Answered at once from what is known: the kernel waits for it where nothing can interrupt it.
void CachefilesBackend::on_open(const CachefilesMessage& message) {
  os::UniqueFd descriptor(message.fd);
  fcntl(descriptor.get(), F_SETFD, FD_CLOEXEC);
  CookieName name = {message.volume_key, message.cookie_key};
  auto found = known_.find(name);
  if (found == known_.end()) found = adopt_abandoned(name);
  if (found == known_.end() || !found->second.may_open) {
    error_line(fmt::format("{} of {}: is asked for, but no image has it", printable(name.cookie),
                           printable(name.volume)));
    return refuse_open(message.id);
  }
  Known& known = found->second;
  fault_point(21);
  auto answered = command(fmt::format("copen {},{}", message.id, known.cookie->size()));
  if (!answered) return error_line(answered.error().message);
  fault_point(22);
  known.cookie->opened(std::move(descriptor));
  std::erase_if(open_, [&](const auto& entry) { return entry.second == name; });
  open_.emplace(message.object, name);
  // Metadata should not wait for anybody later. Before its first mount the file has no name yet.
  if (known.local) known.local->fill({0, known.cookie->size()}, [](const Result<void>&) {});
}

void CachefilesBackend::on_close(const CachefilesMessage& message) {
  auto opening = open_.find(message.object);
  if (opening == open_.end()) return;
  auto found = known_.find(opening->second);
  if (found != known_.end()) found->second.cookie->closed();
  open_.erase(opening);
}

Ticket CachefilesBackend::take_slot(std::shared_ptr<Cookie> cookie, uint32_t request) {
  uint32_t slot = free_.back();
  free_.pop_back();
  pending_[slot] = {std::move(cookie), request};
  // A number that comes again is another reader's: the kernel let the first one go, killed or with its file.
  auto [known, is_new] = slots_.try_emplace(request, slot);
  if (!is_new) pending_[std::exchange(known->second, slot)].cookie.reset();
  return Ticket(*this, slot);
}

void CachefilesBackend::on_read(const CachefilesMessage& message) {
  counters_.events++;
  auto opening = open_.find(message.object);
  auto found = opening == open_.end() ? known_.end() : known_.find(opening->second);
  if (found == known_.end()) return error_line("a read of a file that was not opened");
  Known& known = found->second;
  Extent range = {message.offset, message.count};
  Ticket ticket = take_slot(known.cookie, message.id);
  fault_point(23);
  auto data = known.cookie->on_read(range);
  if (!data) return error_line(data.error().message);
  if (known.is_abandoned()) return error_line(message_of_abandoned(opening->second));
  if (!known.local) {
    sink_->on_kept(known.id, range, *data);
    return sink_->on_request({known.id, range.offset, range.size, 0}, std::move(ticket));
  }
  auto held = std::make_shared<Ticket>(std::move(ticket));
  known.local->fill(range, [held](const Result<void>& filled) {
    if (!filled) error_line(filled.error().message);
    filled ? held->allow() : held->fail();
  });
}

// The reader looks whether the data is there now: without it, it gets EIO.
void CachefilesBackend::answer(uint32_t slot, int error) {
  Pending pending = std::move(pending_[slot]);
  (error ? counters_.denied : counters_.allowed)++;
  if (pending.cookie) {
    slots_.erase(pending.request);
    fault_point(24);
    if (auto completed = pending.cookie->complete(pending.request); !completed)
      error_line(completed.error().message);
    fault_point(25);
  }
  free_.push_back(slot);
  if (full_ && free_.size() >= kMaxPendingReads / 2) {
    full_ = false;
    loop_->after_ms(0, [this](int32_t) { drain(); });
  }
}

}  // namespace fscached
