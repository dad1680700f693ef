#include "fscached/control/daemon.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <thread>

#include "erofs-format/base/log.h"
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "fscached/control/fetch_options.h"
#include "fscached/control/mount_record.h"
#include "fscached/fault_point.h"
#include "fscached/keeper/leftovers.h"

namespace fscached {

using keeper::Message;
using keeper::Op;

namespace {

size_t thread_count(uint64_t configured) {
  if (configured) return configured;
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxDecodeThreads);
}

// As the keeper wrote them down; nobody can serve them.
std::vector<std::string> read_detached() {
  constexpr uint64_t kMaxBytes = 64 << 20;
  std::vector<std::string> mountpoints;
  auto bytes = os::read_file(keeper::kDetachedFile, kMaxBytes);
  if (!bytes) return mountpoints;
  std::istringstream text{std::string(as_text(*bytes))};
  for (std::string one; std::getline(text, one, '\0');) mountpoints.push_back(std::move(one));
  return mountpoints;
}

void log_error(const Error& error) { log_line(LogLevel::error, "daemon", error.message); }

}  // namespace

Daemon::Daemon(Config config, Loop& loop, std::unique_ptr<KernelBackend> backend, KeeperLink& link)
    : config_(std::move(config)),
      loop_(loop),
      backend_(std::move(backend)),
      link_(link),
      memory_(config_.fetch_memory),
      started_ns_(loop.now_ns()),
      pool_(loop, thread_count(config_.decode_threads)) {}

Daemon::~Daemon() = default;

ObjectEnvironment Daemon::environment() {
  return {loop_, pool_, memory_, object_counters_, config_.request_timeout_ms};
}

// The keeper may where this process may not.
void Daemon::open_through_keeper(const std::string& folder, const std::string& blob_id,
                                 std::function<void(Result<os::UniqueFd>)> done) {
  Message message;
  message.op = Op::open_blob;
  if (!keeper::put_text(message.path, folder))
    return loop_.post([folder, done] { done(errno_error(folder, ENAMETOOLONG)); });
  blob_id.copy(message.blob, keeper::kBlobIdLength);
  link_.call(message, [done = std::move(done)](Result<keeper::Received> reply) {
    done(reply ? Result<os::UniqueFd>(std::move(reply->descriptor)) : std::move(reply).error());
  });
}

Result<std::shared_ptr<Storage>> Daemon::storage(const SourceSettings& settings) {
  // What nobody uses any more may hold a secret.
  std::erase_if(storages_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<Storage>& known = storages_[settings];
  if (auto storage = known.lock()) return storage;
  StorageOptions options = fetch_options(config_);
  options.plain_http |= settings.plain_http;
  // What an image's own settings hold is for its registry, not for that one's mirrors.
  if (!settings.credential.empty())
    options.credential = [settings](const std::string& host, const std::string&) {
      return settings.where.starts_with("docker://" + host + "/") ? settings.credential
                                                                  : registry::Credential();
    };
  options.open_elsewhere = [this](const std::string& folder, const std::string& blob_id,
                                  std::function<void(Result<os::UniqueFd>)> done) {
    open_through_keeper(folder, blob_id, std::move(done));
  };
  TRY_ASSIGN(auto opened, open_storage(loop_, settings.where, storage_counters_, options));
  std::shared_ptr<Storage> storage = std::move(opened);
  known = storage;
  return storage;
}

// --- objects ---------------------------------------------------------------

BlobObject* Daemon::object(ObjectId id) {
  auto found = objects_.find(id);
  return found == objects_.end() ? nullptr : found->second.get();
}

void Daemon::on_request(const KernelRequest& request, Ticket ticket) {
  if (BlobObject* target = object(request.object)) return target->on_request(request, std::move(ticket));
  log_error(make_error(Code::not_found,
                       fmt::format("data file {}: read, but no image describes it", request.object)));
}

void Daemon::on_kept(ObjectId id, Extent range, const std::vector<Extent>& data) {
  if (BlobObject* target = object(id)) target->on_kept(range, data);
}

Result<std::shared_ptr<BlobObject>> Daemon::adopt(AttachedFile attached,
                                                  std::shared_ptr<const BlobLayout> layout,
                                                  std::shared_ptr<Storage> source) {
  std::shared_ptr<BlobObject>& object = objects_[attached.id];
  object_counters_.chunks_rehashed += attached.rehashed;
  if (!object) {
    object = std::make_shared<BlobObject>(environment(), std::move(attached), std::move(layout));
    object->begin();
  } else {
    TRY(object->learn(*layout));
    if (attached.watched) object->set_watched();
  }
  object->add_source(std::move(source));
  return object;
}

void Daemon::attach(const KernelName& image, const std::shared_ptr<const BlobLayout>& layout,
                    const std::shared_ptr<Storage>& source,
                    std::function<void(Result<std::shared_ptr<BlobObject>>)> done) {
  // An earlier life of the blob may still be writing what this one would read.
  auto saving = releasing_.find(backend_->presence_path(image, layout->blob().id));
  if (saving != releasing_.end())
    return saving->second.push_back(
        [this, image, layout, source, done] { attach(image, layout, source, done); });
  backend_->attach(image, layout,
                   [this, layout, source, done = std::move(done)](Result<AttachedFile> attached) {
                     if (!attached) return done(std::move(attached).error());
                     ObjectId id = attached->id;
                     auto object = adopt(std::move(*attached), layout, source);
                     if (!object) backend_->let_go(id);
                     done(std::move(object));
                   });
}

void Daemon::image_shown(uint32_t id) {
  auto found = images_.find(id);
  if (found == images_.end()) return;  // unmounted already, by somebody else
  MountedImage& image = found->second;
  image.shown = true;
  for (ObjectId object_id : image.objects) {
    BlobObject* target = object(object_id);
    if (!target) continue;
    target->settle_watch();
    if (target->needs_save()) target->save(false, [](const Result<void>&) {});
    if (config_.complete)
      loop_.after_ms(config_.complete_after_s * 1000,
                     [this, object_id](int32_t) { complete_in_background(object_id); });
  }
}

void Daemon::complete_in_background(ObjectId id) {
  constexpr uint64_t kRetryMs = 30'000;
  BlobObject* target = object(id);
  if (!target || target->is_complete()) return;
  target->complete(config_.complete_bandwidth, [this, id](const Result<void>& result) {
    if (!result) loop_.after_ms(kRetryMs, [this, id](int32_t) { complete_in_background(id); });
  });
}

void Daemon::image_gone(uint32_t id) {
  auto found = images_.find(id);
  if (found != images_.end()) {
    MountedImage image = std::move(found->second);
    images_.erase(found);
    for (ObjectId object : image.objects) backend_->let_go(object);
    backend_->withdraw(image.kernel_name);
  }
  fault_point(70);
  std::error_code ignored;  // what remains goes with the next start
  std::filesystem::remove_all(mount_folder(id), ignored);
}

void Daemon::on_released(ObjectId id) {
  auto found = objects_.find(id);
  if (found == objects_.end()) return;
  std::shared_ptr<BlobObject> object = std::move(found->second);
  objects_.erase(found);
  fault_point(71);
  releasing_[object->presence_path()];
  object->save(true, [this, object](Result<void> saved) {
    if (!saved) log_error(saved.error());
    auto waiting = releasing_.extract(object->presence_path());
    for (auto& attach_now : waiting.mapped()) attach_now();
    exit_when_saved();
  });
}

void Daemon::save_changes() {
  for (auto& [id, object] : objects_)
    if (object->needs_save())
      object->save(false, [](Result<void> saved) {
        if (!saved) log_error(saved.error());
      });
  loop_.after_ms(kSaveIntervalMs, [this](int32_t) { save_changes(); });
}

// --- a predecessor's images ---------------------------------------------------

Result<void> Daemon::try_restore_image(uint32_t id, MountedImage& image) {
  auto offered = Result<void>();
  backend_->offer(image.kernel_name, [&](Result<void> result) { offered = std::move(result); });
  TRY(offered);
  std::string folder = mount_folder(id);
  TRY_ASSIGN(MountRecord record, read_mount_record(folder));
  image.name = record.image;
  image.where = record.source.where;
  if (image.where.empty()) return {};  // a plain image has no blobs
  TRY_ASSIGN(auto source, storage(record.source));
  TRY_ASSIGN(Buffer bytes, os::read_file(folder + "/image.boot", kMaxBootstrapSize));
  TRY_ASSIGN(ImageDescription description, describe_image(bytes, record.image, record.blobs));
  image.inodes = description.inodes;
  image.bytes = description.bytes;
  for (size_t i = 0; i < description.blobs.size(); i++) {
    BlobUse& use = description.blobs[i];
    if (use.needs_chunk_table) {
      TRY_ASSIGN(Buffer stored, os::read_file(table_path(folder, i), kMaxChunkTableBytes));
      TRY_ASSIGN(use.table, parse_chunk_table(use.blob, stored));
    }
    TRY_ASSIGN(auto layout, BlobLayout::create(use.blob, std::move(use.table), std::move(use.digests)));
    auto failed = Result<void>();
    attach(image.kernel_name, layout, source, [&](Result<std::shared_ptr<BlobObject>> object) {
      if (object)
        image.objects.push_back((*object)->id());
      else
        failed = std::move(object).error();
    });
    TRY(failed);
  }
  return {};
}

void Daemon::restore_image(const Message& mount) {
  MountedImage& image = images_[mount.id];
  fault_point(72);
  image.mountpoint = keeper::text_of(mount.path);
  image.shown = true;
  image.lingers = (mount.flags & keeper::kLingers) != 0;
  image.kernel_name = {mount.id, keeper::text_of(mount.fsid), keeper::text_of(mount.domain)};
  auto restored = try_restore_image(mount.id, image);
  if (restored) return;
  backend_->abandon(image.kernel_name);
  log_error(std::move(restored).error().within(image.mountpoint + ": cannot be served any more"));
}

void Daemon::restore(KeeperLink::Introduction introduction) {
  last_mount_ = introduction.last_mount;
  detached_ = read_detached();
  os::remove_abandoned(backend_->presence_folder());
  backend_->restore(loop_, *this, std::move(introduction.files));
  for (const keeper::Received& mount : introduction.mounts) restore_image(mount.message);
}

// --- the worker's life -----------------------------------------------------------

void Daemon::start() {
  link_.start(
      loop_, [this](const Message& message) { on_notice(message); }, [this] { on_keeper_lost(); });
  fault_point(73);
  backend_->start();
  fault_point(74);
  for (auto& [id, image] : images_) image_shown(id);
  loop_.after_ms(kSaveIntervalMs, [this](int32_t) { save_changes(); });
  Message ready;
  ready.op = Op::ready;
  link_.tell(ready);
}

void Daemon::on_notice(const Message& message) {
  switch (message.op) {
    case Op::gone_mount: return image_gone(message.id);
    case Op::released_file: return backend_->on_notice(message);
    case Op::stop: return stop();
    case Op::hand_over: return hand_over();
    default: log_error(make_error(Code::internal, "keeper: unexpected message"));
  }
}

// Mounts live on and this process holds the last duplicate of the group: serving them is all
// that keeps their readers from zeros.
void Daemon::on_keeper_lost() {
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  bool mounted =
      std::any_of(images_.begin(), images_.end(), [](const auto& entry) { return entry.second.shown; });
  if (!mounted) _exit(1);
  log_error(
      make_error(Code::internal,
                 "the keeper is gone: no more mounts; end this process only after unmounting everything"));
}

void Daemon::stop() {
  stopping_ = true;
  while (!objects_.empty()) on_released(objects_.begin()->first);
  exit_when_saved();
}

// Requests of the kernel are answered meanwhile; new commands wait for the successor.
void Daemon::hand_over() {
  gate_.close();
  save_when_answered(loop_.now_ns() + kLastCommandsMs * 1'000'000);
}

void Daemon::save_when_answered(uint64_t deadline_ns) {
  constexpr uint64_t kLookAgainMs = 10;
  if (gate_.inside() == 0 || loop_.now_ns() > deadline_ns) return save_and_exit();
  loop_.after_ms(kLookAgainMs, [this, deadline_ns](int32_t) { save_when_answered(deadline_ns); });
}

// What is under way when everything is saved is left as by a worker that dies.
void Daemon::save_and_exit() {
  auto unsaved = std::make_shared<size_t>(1);
  auto saved = [unsaved](const Result<void>&) {
    if (--*unsaved == 0) _exit(0);
  };
  for (auto& [id, object] : objects_) {
    if (!object->needs_save()) continue;
    ++*unsaved;
    object->save(false, saved);
  }
  saved(Result<void>());
}

// Control threads may still wait for clients: there is nothing left to tell them.
void Daemon::exit_when_saved() {
  if (stopping_ && releasing_.empty()) _exit(0);
}

}  // namespace fscached
