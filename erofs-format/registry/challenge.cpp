#include "erofs-format/registry/challenge.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/bytes.h"

namespace erofs_format::registry {
namespace {

bool is_token_char(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kOthers.find(c) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string copy(text);
  std::transform(copy.begin(), copy.end(), copy.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return copy;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  Result<std::vector<Challenge>> run();

 private:
  bool at_end() const { return at_ == text_.size(); }
  bool take(char c) { return !at_end() && text_[at_] == c ? (at_++, true) : false; }
  bool skip_blanks();
  std::string_view token();
  Result<std::string> quoted();
  Result<void> parameter(std::string_view name);
  Result<void> element();
  Error bad(std::string_view what) const {
    return make_error(Code::corrupt,
                      fmt::format("WWW-Authenticate '{}': {} at byte {}", printable(text_), what, at_));
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Challenge> found_;
};

bool Parser::skip_blanks() {
  size_t start = at_;
  while (take(' ') || take('\t')) {
  }
  return at_ != start;
}

std::string_view Parser::token() {
  size_t start = at_;
  while (!at_end() && is_token_char(text_[at_])) at_++;
  return text_.substr(start, at_ - start);
}

Result<std::string> Parser::quoted() {
  std::string value;
  while (!take('"')) {
    take('\\');
    if (at_end()) return bad("unclosed quote");
    if (static_cast<unsigned char>(text_[at_]) < 0x20 || text_[at_] == 0x7f) return bad("control byte");
    value += text_[at_++];
  }
  return value;
}

// Stands behind the '='.
Result<void> Parser::parameter(std::string_view name) {
  if (found_.empty()) return bad("a parameter before any scheme");
  Challenge& challenge = found_.back();
  std::string key = lower(name);
  if (challenge.parameters.size() == kMaxChallengeParameters) return bad("too many parameters");
  for (const Challenge::Parameter& other : challenge.parameters)
    if (other.name == key) return bad("a parameter given twice");
  std::string value;
  if (take('"')) {
    TRY_ASSIGN(value, quoted());
  } else {
    value = token();
    if (value.empty()) return bad("no value");
  }
  challenge.parameters.push_back({std::move(key), std::move(value)});
  return {};
}

// "scheme", "scheme name=value" or "name=value".
Result<void> Parser::element() {
  std::string_view first = token();
  if (first.empty()) return bad("no name");
  bool blanks = skip_blanks();
  if (take('=')) {
    skip_blanks();
    return parameter(first);
  }
  if (found_.size() == kMaxChallenges) return bad("too many challenges");
  found_.push_back({lower(first), {}});
  if (at_end() || text_[at_] == ',' || !blanks) return {};
  std::string_view name = token();
  skip_blanks();
  if (name.empty() || !take('=')) return bad("no parameter");
  skip_blanks();
  return parameter(name);
}

Result<std::vector<Challenge>> Parser::run() {
  for (;;) {
    skip_blanks();
    TRY(element());
    skip_blanks();
    if (at_end()) return std::move(found_);
    if (!take(',')) return bad("no comma");
  }
}

}  // namespace

std::string_view Challenge::parameter(std::string_view name) const {
  for (const Parameter& candidate : parameters)
    if (candidate.name == name) return candidate.value;
  return {};
}

Result<std::vector<Challenge>> parse_challenges(std::string_view value) { return Parser(value).run(); }

Result<Challenge> choose_challenge(std::span<const std::string> values, bool has_password) {
  std::string others;
  std::optional<Challenge> basic;
  for (const std::string& value : values) {
    TRY_ASSIGN(std::vector<Challenge> challenges, parse_challenges(value));
    for (Challenge& challenge : challenges) {
      if (challenge.scheme == "bearer" && !challenge.parameter("realm").empty()) return std::move(challenge);
      others += (others.empty() ? "" : ", ") + challenge.scheme;
      if (challenge.scheme == "basic") basic = std::move(challenge);
    }
  }
  if (basic && has_password) return std::move(*basic);
  std::string_view instead =
      basic ? "for user name and password, and none are known for it" : "not for a token";
  return make_error(
      Code::auth, fmt::format("the server asks for '{}', {}", others.empty() ? "nothing" : others, instead));
}

}  // namespace erofs_format::registry
