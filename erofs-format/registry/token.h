// Bearer tokens: what to ask for, what the answer means, how long it lasts. Pure: time
// comes from the caller, the transport is elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "erofs-format/registry/challenge.h"
#include "erofs-format/registry/reach.h"
#include "erofs-format/registry/url.h"

namespace erofs_format::registry {

inline constexpr uint64_t kDefaultTokenSeconds = 60;  // when the answer does not say
inline constexpr uint64_t kMaxTokenSeconds = 24 * 3600;
inline constexpr size_t kMaxTokenTextBytes = 16 << 10;

// The URL a token is asked from: the challenge's realm with its service and each of its scopes.
// The realm is judged like a redirect from the registry at `reach`.
Result<Url> token_url(const Url& registry, Reach reach, const Challenge& challenge);

// The same without its query, and what is posted there (OAuth2) by who has an identity token.
Result<Url> token_service(const Url& registry, Reach reach, const Challenge& challenge);
std::string token_form(const Challenge& challenge, std::string_view identity_token);

struct Token {
  std::string text;
  uint64_t seconds = kDefaultTokenSeconds;
};

// A token service's JSON answer: "token" or "access_token", "expires_in".
Result<Token> parse_token(std::string_view json);

// The one token of a repository, in memory only.
class TokenCache {
 public:
  void store(Token token, uint64_t now_ms);
  void forget() { *this = TokenCache(); }
  // Whether one was ever got and has run out (early, so that it does not end under way).
  bool expired(uint64_t now_ms) const { return !text_.empty() && now_ms >= good_until_ms_; }
  // The value of an Authorization header; empty without a token.
  std::string authorization() const { return text_.empty() ? "" : "Bearer " + text_; }

 private:
  std::string text_;
  uint64_t good_until_ms_ = 0;
};

}  // namespace erofs_format::registry
