// WWW-Authenticate, Location and token answers as a hostile server may send them.
#include <cstdlib>
#include <string_view>

#include "erofs-format/registry/challenge.h"
#include "erofs-format/registry/redirect.h"
#include "erofs-format/registry/repository.h"
#include "erofs-format/registry/token.h"

using namespace erofs_format;
using namespace erofs_format::registry;

namespace {

void check_target(const Result<Url>& target) {
  if (!target) return;
  if (!target->secure() || target->host.empty() || target->port == 0) std::abort();
  if (auto reach = reach_of(target->host); reach && *reach != Reach::network) std::abort();
  if (!parse_url(target->text)) std::abort();  // what was accepted is accepted again
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const Url registry = *parse_url("https://registry.example/v2/a/");
  check_target(redirect_target(registry, Reach::network, text));
  if (Result<std::vector<Challenge>> challenges = parse_challenges(text)) {
    if (challenges->empty() || challenges->size() > kMaxChallenges) std::abort();
    for (const Challenge& challenge : *challenges)
      check_target(token_url(registry, Reach::network, challenge));
  }
  if (Result<Token> token = parse_token(text)) {
    if (token->text.empty() || token->text.find_first_of("\r\n ") != std::string::npos) std::abort();
    if (token->seconds == 0 || token->seconds > kMaxTokenSeconds) std::abort();
  }
  if (Result<Repository> repository = parse_repository(text, PlainHttp::loopback_only)) {
    if (repository->base.text.find("/v2/" + repository->name + "/") == std::string::npos) std::abort();
  }
  return 0;
}
