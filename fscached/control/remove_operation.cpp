// `remove` and `prune`: what the cache need not have any more.
#include <fmt/format.h>

#include "erofs-format/base/log.h"
#include "fscached/control/operations.h"

namespace fscached {

using keeper::Message;
using keeper::Op;
using keeper::Received;

namespace {

Result<uint64_t> prune(Daemon& daemon, const PruneWish& wish) {
  return daemon.ask<Result<uint64_t>>(
      [&](std::function<void(Result<uint64_t>)> done) { daemon.backend().prune(wish, std::move(done)); });
}

uint32_t find_added(Daemon& daemon, const json& request) {
  std::string name = text_field(request, "image"), fsid = text_field(request, "fsid");
  for (auto& [id, image] : daemon.images())
    if (image.added() && (image.name == name || image.kernel_name.fsid == fsid)) return id;
  return 0;
}

std::set<std::string> blobs_of(Daemon& daemon, uint32_t id) {
  std::set<std::string> blobs;
  for (ObjectId object_id : daemon.images()[id].objects)
    if (BlobObject* object = daemon.object(object_id)) blobs.insert(object->blob_id());
  return blobs;
}

// The keeper lets files go a moment after the image; what another image uses stays.
bool are_released(Daemon& daemon, std::set<std::string> blobs) {
  for (auto& [id, image] : daemon.images())
    for (const std::string& used : blobs_of(daemon, id)) blobs.erase(used);
  for (auto& [id, object] : daemon.objects())
    if (blobs.count(object->blob_id())) return false;
  return true;
}

}  // namespace

Result<json> remove_image(Daemon& daemon, const json& request) {
  std::string name = text_field(request, "image");
  Message message;
  message.op = Op::forget;
  message.id = daemon.on_loop<uint32_t>([&] { return find_added(daemon, request); });
  if (message.id == 0) return make_error(Code::not_found, name + ": is no image that was added");
  auto forgotten = daemon.ask<Result<Received>>(
      [&](KeeperLink::Reply reply) { daemon.keeper().call(message, std::move(reply)); });
  if (!forgotten) return std::move(forgotten).error().within(name);
  PruneWish wish;
  wish.blobs = daemon.on_loop<std::set<std::string>>([&] {
    std::set<std::string> blobs = blobs_of(daemon, message.id);
    daemon.image_gone(message.id);
    return blobs;
  });
  uint64_t freed = 0;
  if (!wish.blobs.empty()) {
    wait_on_loop(daemon, [&] { return are_released(daemon, wish.blobs); });
    TRY_ASSIGN(freed, prune(daemon, wish));
  }
  log_line(LogLevel::info, "daemon", fmt::format("removed {}, {} bytes of the cache", name, freed));
  return json{{"image", name}, {"freed_bytes", freed}};
}

Result<json> prune_cache(Daemon& daemon, const json& request) {
  PruneWish wish;
  auto keep = request.find("keep_bytes");
  if (keep != request.end() && keep->is_number_unsigned()) wish.keep_bytes = keep->get<uint64_t>();
  TRY_ASSIGN(uint64_t freed, prune(daemon, wish));
  log_line(LogLevel::info, "daemon", fmt::format("pruned {} bytes", freed));
  return json{{"freed_bytes", freed}};
}

}  // namespace fscached
