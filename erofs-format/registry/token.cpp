#include "erofs-format/registry/token.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "erofs-format/registry/redirect.h"

namespace erofs_format::registry {
namespace {

Error bad(std::string_view why) {
  return make_error(Code::auth, fmt::format("token service's answer: {}", why));
}

constexpr std::string_view kClientId = "nydus-erofs";

// A value of application/x-www-form-urlencoded.
std::string form_encoded(std::string_view value) {
  std::string out;
  for (char c : value) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                 c == '.' || c == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<uint8_t>(c));
  }
  return out;
}

// A token becomes part of a header: one control byte would start another header.
bool is_header_text(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

Result<std::string> text_of(const nlohmann::json& answer) {
  for (const char* name : {"token", "access_token"}) {
    auto found = answer.find(name);
    if (found == answer.end()) continue;
    const std::string* text = found->get_ptr<const std::string*>();
    if (text == nullptr) return bad(fmt::format("'{}' is not a string", name));
    if (!text->empty()) return *text;
  }
  return bad("no 'token' and no 'access_token'");
}

}  // namespace

Result<Url> token_service(const Url& registry, Reach reach, const Challenge& challenge) {
  return redirect_target(registry, reach, challenge.parameter("realm"));
}

Result<Url> token_url(const Url& registry, Reach reach, const Challenge& challenge) {
  TRY_ASSIGN(Url url, token_service(registry, reach, challenge));
  std::string_view service = challenge.parameter("service");
  if (!service.empty()) {
    TRY_ASSIGN(url, add_query(url, "service", service));
  }
  std::string_view scopes = challenge.parameter("scope");
  while (!scopes.empty()) {
    size_t end = std::min(scopes.find(' '), scopes.size());
    if (end > 0) {
      TRY_ASSIGN(url, add_query(url, "scope", scopes.substr(0, end)));
    }
    scopes.remove_prefix(std::min(end + 1, scopes.size()));
  }
  return url;
}

std::string token_form(const Challenge& challenge, std::string_view identity_token) {
  return fmt::format("grant_type=refresh_token&client_id={}&service={}&scope={}&refresh_token={}", kClientId,
                     form_encoded(challenge.parameter("service")), form_encoded(challenge.parameter("scope")),
                     form_encoded(identity_token));
}

Result<Token> parse_token(std::string_view json) {
  nlohmann::json answer = nlohmann::json::parse(json.begin(), json.end(), nullptr, false);
  if (!answer.is_object()) return bad("not a JSON object");
  Token token;
  TRY_ASSIGN(token.text, text_of(answer));
  if (token.text.size() > kMaxTokenTextBytes)
    return bad(fmt::format("a token longer than {} bytes", kMaxTokenTextBytes));
  if (!is_header_text(token.text)) return bad("a token with blanks or control bytes");
  auto expires = answer.find("expires_in");
  if (expires == answer.end()) return token;
  if (!expires->is_number_unsigned()) return bad("'expires_in' is not a whole number");
  // Some services say 0 for "the default".
  uint64_t seconds = expires->get<uint64_t>();
  token.seconds = seconds == 0 ? kDefaultTokenSeconds : std::min(seconds, kMaxTokenSeconds);
  return token;
}

void TokenCache::store(Token token, uint64_t now_ms) {
  text_ = std::move(token.text);
  good_until_ms_ = now_ms + token.seconds * 900;  // nine tenths of its life
}

}  // namespace erofs_format::registry
