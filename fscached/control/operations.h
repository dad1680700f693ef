// The commands of the control socket, each on a thread of its own.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "fscached/control/daemon.h"

namespace fscached {

using nlohmann::json;

// Tells the client how far it is.
using Progress = std::function<void(const json&)>;

// `bootstrap`: the file the request names, opened by the client; invalid = the worker opens it.
Result<json> mount_image(Daemon& daemon, const json& request, os::UniqueFd bootstrap);
// `fsid` and `domain` as the request names them; answers with the line that mounts it.
Result<json> add_image(Daemon& daemon, const json& request, os::UniqueFd bootstrap);
// Of an image that was added: it and what only it has in the cache.
Result<json> remove_image(Daemon& daemon, const json& request);
Result<json> prune_cache(Daemon& daemon, const json& request);
Result<json> umount_image(Daemon& daemon, const json& request);
Result<json> fetch_image(Daemon& daemon, const json& request, const Progress& progress);
Result<json> scrub_cache(Daemon& daemon, const Progress& progress);
Result<json> list_images(Daemon& daemon);
Result<json> show_status(Daemon& daemon);
Result<json> show_stats(Daemon& daemon);

// Looks on the loop until `happened`, for some seconds at most; what it said last.
bool wait_on_loop(Daemon& daemon, const std::function<bool()>& happened);
// A text field of a request; absent is empty.
std::string text_field(const json& request, const char* name);

}  // namespace fscached
