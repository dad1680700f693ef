// config.json of `docker login` and the answers of credential helpers. Nothing that is accepted can end a
// header.
#include <cstdlib>

#include "erofs-format/registry/credentials.h"

using namespace erofs_format;
using namespace erofs_format::registry;

namespace {

void check(const Credential& credential) {
  for (const std::string* secret :
       {&credential.user, &credential.password, &credential.identity_token, &credential.registry_token})
    if (secret->find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) std::abort();
  if (credential.basic().find_first_of("\r\n") != std::string::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (Result<AuthFile> file = parse_auth_file({data, size}, "file")) {
    for (const auto& [key, credential] : file->auths) {
      check(credential);
      check(choose_credential(*file, key.substr(0, key.find('/')), "a/b").credential);
    }
    for (const auto& [host, helper] : file->helpers)
      if (helper.find('/') != std::string::npos) std::abort();
    if (file->store.find('/') != std::string::npos) std::abort();
  }
  if (Result<Credential> answer = parse_helper_answer(as_text({data, size}), "helper")) check(*answer);
  return 0;
}
