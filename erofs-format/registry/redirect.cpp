#include "erofs-format/registry/redirect.h"

#include <fmt/format.h>

namespace erofs_format::registry {
namespace {

Error refuse(const Url& from, std::string_view why) {
  return make_error(Code::network, fmt::format("{}: redirect refused: {}", from.public_text(), why));
}

}  // namespace

Result<Url> redirect_target(const Url& from, Reach reach, std::string_view location) {
  if (location.empty()) return refuse(from, "no Location");
  Result<Url> target = resolve_url(from, location);
  if (!target) return refuse(from, target.error().message);
  if (from.secure() && !target->secure()) return refuse(from, "it leads from https to http");
  if (std::optional<Reach> near = reach_of(target->host); near && !may_lead(reach, *near))
    return refuse(from, fmt::format("{} is a {} address", target->host, to_string(*near)));
  return target;
}

}  // namespace erofs_format::registry
