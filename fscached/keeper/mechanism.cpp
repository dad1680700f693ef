#include "fscached/keeper/mechanism.h"

#include <fmt/format.h>

namespace fscached::keeper {

Result<Message> Mechanism::attach(const Message&, int*) {
  return make_error(Code::unsupported, fmt::format("{}: has no files to attach", name()));
}

Result<void> Mechanism::set_mark(const Message&) {
  return make_error(Code::unsupported, fmt::format("{}: has no marks", name()));
}

}  // namespace fscached::keeper
