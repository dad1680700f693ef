#include "fscached/control/mount_record.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "erofs-format/base/os.h"
#include "fscached/limits.h"

namespace fscached {

using nlohmann::json;

std::string mount_folder(uint32_t id) { return fmt::format("mounts/{}", id); }

std::string table_path(const std::string& folder, size_t blob) {
  return fmt::format("{}/table-{}", folder, blob);
}

Result<MountRecord> read_mount_record(const std::string& folder) {
  std::string path = folder + "/mount.json";
  TRY_ASSIGN(Buffer bytes, os::read_file(path, kMaxMountRecordBytes));
  json document = json::parse(as_text(bytes), nullptr, false);
  MountRecord record;
  auto text = [](const json& value, std::string& into) {
    if (!value.is_string()) return false;
    into = value.get<std::string>();
    return true;
  };
  bool good = document.is_object() && document["source"].is_object() && document["blobs"].is_array() &&
              text(document["image"], record.image);
  if (good) record.source = source_settings_of(document["source"]);
  if (good)
    for (const json& blob : document["blobs"]) {
      record.blobs.emplace_back();
      good = good && text(blob, record.blobs.back());
    }
  if (!good) return make_error(Code::corrupt, path + ": is no mount record");
  return record;
}

Result<void> write_mount_record(const std::string& folder, const MountRecord& record) {
  json document = {{"image", record.image}, {"source", json::object()}, {"blobs", record.blobs}};
  add_source_settings(document["source"], record.source);
  std::string text = document.dump(-1, ' ', false, json::error_handler_t::replace);
  return os::publish_file(folder + "/mount.json", as_bytes(text), 0600);
}

}  // namespace fscached
