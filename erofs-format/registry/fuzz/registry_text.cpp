// What the registry's client reads, each input as each of it: response heads, WWW-Authenticate, Location and
// token answers as a hostile server may send them; config.json of docker login, what credential helpers say
// and containerd's hosts.toml: nothing that is accepted there can end a header.
#include <cstdlib>
#include <string>
#include <string_view>

#include "erofs-format/registry/challenge.h"
#include "erofs-format/registry/credentials.h"
#include "erofs-format/registry/hosts_file.h"
#include "erofs-format/registry/limits.h"
#include "erofs-format/registry/redirect.h"
#include "erofs-format/registry/repository.h"
#include "erofs-format/registry/response_head.h"
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

// What is accepted must be what a second, slower reading of the same bytes finds.
void check_head(std::string_view text) {
  Result<ResponseHead> head = parse_response_head(as_bytes(text));
  if (!head) {
    if (head.error().message.empty()) std::abort();
    return;
  }
  if (text.find('\0') != std::string::npos || text.size() > kMaxResponseHeadBytes) std::abort();
  if (text.find("\r\n\r\n") + 4 != text.size() || text.compare(0, 7, "HTTP/1.") != 0) std::abort();
  if (std::to_string(head->status) != text.substr(9, 3)) std::abort();
  if (head->challenges.size() > kMaxResponseHeaders) std::abort();
  for (const std::string& challenge : head->challenges)
    if (text.find(challenge) == std::string::npos) std::abort();
  if (head->content_range && head->content_range->span) {
    const ContentRange::Span& span = *head->content_range->span;
    if (span.first > span.last) std::abort();
    if (head->content_range->total && span.last >= *head->content_range->total) std::abort();
  }
}

void check_hosts(std::string_view text) {
  Result<HostsFile> hosts = parse_hosts_file(text, "/etc/hosts.toml");
  if (!hosts) {
    if (hosts.error().message.find("/etc/hosts.toml") == std::string::npos) std::abort();
    return;
  }
  if (hosts->mirrors.size() > kMaxMirrors) std::abort();
  for (const HostEntry& mirror : hosts->mirrors) {
    if (!parse_url(mirror.base.text) || !mirror.base.text.ends_with('/')) std::abort();
    for (const std::string& header : mirror.terms.headers)
      if (header.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) std::abort();
  }
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
  check_head(text);
  check_hosts(text);
  return 0;
}
