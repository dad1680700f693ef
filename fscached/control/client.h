// What every command that talks to a running daemon needs.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "erofs-format/base/options.h"
#include "fscached/control/line_socket.h"

namespace fscached {

using namespace erofs_format;
using nlohmann::json;

// The options these commands have in common.
inline constexpr Option kSocketOption = {"socket", 0, "PATH", "of the daemon (/run/fscached/fscached.sock)"};
inline constexpr Option kRootOption = {"root", 0, "DIR",
                                       "accepted as by serve; without --socket, DIR/fscached.sock"};
inline constexpr Option kJsonOption = {"json", 0, "", "answer as JSON"};
inline constexpr Option kQuietOption = {"quiet", 'q', "", "no progress"};
inline constexpr Option kCommonOptions[] = {kSocketOption, kRootOption, kJsonOption, kQuietOption};

std::string socket_of(const Arguments& arguments);

using OnProgress = std::function<void(const json&)>;
// Sends one request and waits for its end.
// `descriptor`: of a file the request names, which the daemon itself may not open; -1 = none.
Result<json> call(const std::string& socket, const json& request, const OnProgress& on_progress = {},
                  int descriptor = -1);
// The same over a connection there is.
Result<json> call_over(LineSocket line, const json& request, const OnProgress& on_progress = {},
                       int descriptor = -1);
// A line on a terminal says how far it is.
Result<json> call_with_progress(const Arguments& arguments, const json& request);

Result<void> print(const std::string& text);
Result<void> print_json(const json& value);
std::string megabytes(uint64_t bytes);

Result<std::string> real_path(const std::string& path);
// What an image the daemon has goes by: its mountpoint or bootstrap, or the reference it was named by.
Result<std::string> image_name(const std::string& text);

}  // namespace fscached
