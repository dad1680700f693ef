#include "fscached/control/operations.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <thread>

#include "erofs-format/base/log.h"

namespace fscached {

using keeper::Message;
using keeper::Op;
using keeper::Received;

namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(200);
constexpr auto kGoneStep = std::chrono::milliseconds(10);
constexpr int kGoneSteps = 300;

// The number of the image mounted there, or of one with that name; 0 = none.
uint32_t find_image(Daemon& daemon, const std::string& name) {
  for (auto& [id, image] : daemon.images())
    if (image.shown && !image.lingers && image.mountpoint == name) return id;
  for (auto& [id, image] : daemon.images())
    if (image.shown && image.name == name) return id;
  return 0;
}

struct Amounts {
  uint64_t chunks = 0;
  uint64_t present_chunks = 0;
  uint64_t bytes = 0;
  uint64_t present_bytes = 0;
  bool complete = true;
};

Amounts amounts_of(Daemon& daemon, const std::vector<ObjectId>& objects) {
  Amounts sum;
  for (ObjectId id : objects) {
    BlobObject* object = daemon.object(id);
    if (!object) continue;
    sum.chunks += object->known_chunks();
    sum.present_chunks += object->present_chunks();
    sum.bytes += object->known_bytes();
    sum.present_bytes += object->present_bytes();
    sum.complete = sum.complete && object->is_complete();
  }
  return sum;
}

json describe(Daemon& daemon, uint32_t id, const MountedImage& image) {
  Amounts amounts = amounts_of(daemon, image.objects);
  return {{"id", id},
          {"mountpoint", image.mountpoint},
          {"image", image.name},
          {"blobs", image.where},
          {"state", image.lingers   ? "lingers"
                    : image.added() ? "added"
                    : image.shown   ? "mounted"
                                    : "mounting"},
          {"fsid", image.kernel_name.fsid},
          {"domain", image.kernel_name.domain},
          {"inodes", image.inodes},
          {"file_bytes", image.bytes},
          {"blob_count", image.objects.size()},
          {"chunks", amounts.chunks},
          {"present_chunks", amounts.present_chunks},
          {"chunk_bytes", amounts.bytes},
          {"present_bytes", amounts.present_bytes},
          {"complete", amounts.complete}};
}

}  // namespace

bool wait_on_loop(Daemon& daemon, const std::function<bool()>& happened) {
  for (int i = 0;; i++) {
    if (daemon.on_loop<bool>(happened)) return true;
    if (i == kGoneSteps) return false;
    std::this_thread::sleep_for(kGoneStep);
  }
}

std::string text_field(const json& request, const char* name) {
  auto found = request.find(name);
  return found != request.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<json> umount_image(Daemon& daemon, const json& request) {
  std::string mountpoint = text_field(request, "mountpoint");
  Message message;
  message.op = Op::unmount;
  message.id = daemon.on_loop<uint32_t>([&] { return find_image(daemon, mountpoint); });
  if (message.id == 0) return make_error(Code::not_found, mountpoint + ": nothing of ours is mounted there");
  auto unmounted = daemon.ask<Result<Received>>(
      [&](KeeperLink::Reply reply) { daemon.keeper().call(message, std::move(reply)); });
  if (!unmounted) return std::move(unmounted).error();
  wait_on_loop(daemon, [&] { return daemon.images().count(message.id) == 0; });
  bool lingers = daemon.on_loop<bool>([&] {
    auto found = daemon.images().find(message.id);
    if (found == daemon.images().end()) return false;
    return found->second.lingers = true;
  });
  log_line(LogLevel::info, "daemon",
           fmt::format("unmounted {}{}", mountpoint, lingers ? ", still in use elsewhere" : ""));
  return json{{"mountpoint", mountpoint}, {"lingers", lingers}};
}

Result<json> fetch_image(Daemon& daemon, const json& request, const Progress& progress) {
  std::string name = text_field(request, "image");
  std::vector<ObjectId> objects;
  uint32_t id = daemon.on_loop<uint32_t>([&] {
    uint32_t found = find_image(daemon, name);
    if (found) objects = daemon.images()[found].objects;
    return found;
  });
  if (id == 0) return make_error(Code::not_found, name + ": is neither a mounted image nor a mountpoint");
  // Shared with the loop: a client that goes away does not end what it began.
  struct State {
    size_t remaining = 0;
    std::optional<Error> error;
  };
  auto state = std::make_shared<State>();
  daemon.on_loop<bool>([&] {
    state->remaining = objects.size();
    for (ObjectId object_id : objects) {
      BlobObject* object = daemon.object(object_id);
      auto finished = [state](Result<void> result) {
        if (!result && !state->error) state->error = std::move(result).error();
        state->remaining--;
      };
      if (object)
        object->complete(0, finished);
      else
        state->remaining--;
    }
    return true;
  });
  for (;;) {
    Amounts amounts;
    bool running = daemon.on_loop<bool>([&] {
      amounts = amounts_of(daemon, objects);
      return state->remaining > 0;
    });
    progress({{"bytes", amounts.bytes}, {"done_bytes", amounts.present_bytes}});
    if (!running) break;
    std::this_thread::sleep_for(kProgressInterval);
  }
  if (state->error) return *state->error;
  return daemon.on_loop<json>([&]() -> json {
    auto image = daemon.images().find(id);
    if (image == daemon.images().end()) return {{"state", "unmounted"}};
    return describe(daemon, id, image->second);
  });
}

Result<json> list_images(Daemon& daemon) {
  return daemon.on_loop<json>([&] {
    json images = json::array();
    for (auto& [id, image] : daemon.images()) images.push_back(describe(daemon, id, image));
    return json{{"images", images}};
  });
}

Result<json> show_status(Daemon& daemon) {
  return daemon.on_loop<json>([&]() -> json {
    uint64_t lingering = 0, complete = 0;
    for (auto& [id, image] : daemon.images()) lingering += image.lingers;
    for (auto& [id, object] : daemon.objects()) complete += object->is_complete();
    return {{"state", "serving"},
            {"backend", daemon.backend().name()},
            {"root", daemon.config().root},
            {"socket", daemon.config().socket},
            {"worker_pid", getpid()},
            {"worker_seconds", (daemon.loop().now_ns() - daemon.started_ns()) / 1'000'000'000},
            {"images", daemon.images().size()},
            {"lingering_images", lingering},
            {"blobs", daemon.objects().size()},
            {"complete_blobs", complete},
            {"pending_events", daemon.backend().pending()},
            {"detached_at_start", daemon.detached()}};
  });
}

Result<json> show_stats(Daemon& daemon) {
  return daemon.on_loop<json>([&]() -> json {
    const KernelCounters& kernel = daemon.backend().counters();
    const ObjectCounters& objects = daemon.object_counters();
    const StorageCounters& storage = daemon.storage_counters();
    return {{"kernel",
             {{"events", kernel.events},
              {"allowed", kernel.allowed},
              {"denied", kernel.denied},
              {"orphans", kernel.orphans},
              {"pending", daemon.backend().pending()}}},
            {"cache",
             {{"requests", objects.requests},
              {"hits", objects.hits},
              {"fetches", objects.fetches},
              {"fetched_bytes", objects.fetched_bytes},
              {"chunks_written", objects.chunks_written},
              {"chunks_rehashed", objects.chunks_rehashed},
              {"chunks_refused", objects.chunks_refused},
              {"fetch_errors", objects.fetch_errors},
              {"timeouts", objects.timeouts},
              {"fetch_memory_used", daemon.memory_used()}}},
            {"storage",
             {{"requests", storage.requests}, {"bytes", storage.bytes}, {"failures", storage.failures}}}};
  });
}

}  // namespace fscached
