// What --version says.
#pragma once

namespace fscached {

inline constexpr char kVersion[] = "0.1";

}  // namespace fscached
