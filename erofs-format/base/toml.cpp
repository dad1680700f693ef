#include "erofs-format/base/toml.h"

#include <fmt/format.h>

#include "erofs-format/base/bytes.h"

namespace erofs_format {

Result<toml::table> parse_toml(std::string_view text, const std::string& path) {
  toml::parse_result parsed = toml::parse(text);
  if (!parsed)
    return make_error(Code::invalid_argument,
                      fmt::format("{}: line {}: {}", path, parsed.error().source().begin.line,
                                  printable(parsed.error().description())));
  return std::move(parsed).table();
}

}  // namespace erofs_format
