#include "mkfs/output_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "erofs-format/base/os.h"
#include "erofs-format/base/version.h"

namespace mkfs {

std::string output_json(const Tree& tree, const std::string& bootstrap) {
  nlohmann::ordered_json blobs = nlohmann::ordered_json::array();
  for (const Blob& blob : tree.blobs) blobs.push_back(blob.id);
  nlohmann::ordered_json trace = {{"consumed_time", nlohmann::ordered_json::object()},
                                  {"registered_events", nlohmann::ordered_json::object()}};
  nlohmann::ordered_json document = {
      {"version", fmt::format("{}-{}", kVersion, build_id())}, {"bootstrap", bootstrap}, {"blobs", blobs}};
  document["external_bootstrap"] = "";
  document["external_blobs"] = nlohmann::ordered_json::array();
  document["trace"] = trace;
  document["fs_version"] = "6";
  document["compressor"] = to_string(tree.compressor);
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<void> write_output_json(const std::string& path, const Tree& tree, const std::string& bootstrap) {
  return os::publish_file(path, as_bytes(output_json(tree, bootstrap)));
}

}  // namespace mkfs
