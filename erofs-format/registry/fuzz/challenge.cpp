// WWW-Authenticate, Location and token answers as a hostile server may send them; config.json of docker login
// and what credential helpers say: nothing that is accepted there can end a header.
#include <cstdlib>
#include <string_view>

#include "erofs-format/registry/challenge.h"
#include "erofs-format/registry/credentials.h"
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

void check_credential(const Credential& credential) {
  for (const std::string* secret :
       {&credential.user, &credential.password, &credential.identity_token, &credential.registry_token})
    if (secret->find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) std::abort();
  if (credential.basic().find_first_of("\r\n") != std::string::npos) std::abort();
}

void check_credentials(const uint8_t* data, size_t size) {
  if (Result<AuthFile> file = parse_auth_file({data, size}, "file")) {
    for (const auto& [key, credential] : file->auths) {
      check_credential(credential);
      check_credential(choose_credential(*file, key.substr(0, key.find('/')), "a/b").credential);
    }
    for (const auto& [host, helper] : file->helpers)
      if (helper.find('/') != std::string::npos) std::abort();
    if (file->store.find('/') != std::string::npos) std::abort();
  }
  if (Result<Credential> answer = parse_helper_answer(as_text({data, size}), "helper"))
    check_credential(*answer);
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
  check_credentials(data, size);
  return 0;
}
