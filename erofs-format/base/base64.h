// Base64 (RFC 4648), with or without padding when read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace erofs_format {

std::optional<std::string> base64_decoded(std::string_view text);
std::string base64_encoded(std::string_view bytes);

}  // namespace erofs_format
