// WWW-Authenticate (RFC 9110 section 11.6.1) as registries use it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/result.h"

namespace erofs_format::registry {

inline constexpr size_t kMaxChallenges = 16;
inline constexpr size_t kMaxChallengeParameters = 16;

struct Challenge {
  struct Parameter {
    std::string name;  // lower case
    std::string value;
  };
  std::string scheme;  // lower case: "bearer", "basic"
  std::vector<Parameter> parameters;

  // Empty when absent.
  std::string_view parameter(std::string_view name) const;
};

// All challenges of one header value. Strict: anything outside the grammar is an error.
Result<std::vector<Challenge>> parse_challenges(std::string_view value);
// Which of several header values to meet: Bearer with a realm, or Basic when we have a password. An error
// names what is asked instead.
Result<Challenge> choose_challenge(std::span<const std::string> values, bool has_password);

}  // namespace erofs_format::registry
