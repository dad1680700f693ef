#include "erofs-format/registry/credential_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "erofs-format/base/os.h"
#include "erofs-format/registry/credential_helper.h"

namespace erofs_format::registry {
namespace {

// Variable of the environment; empty when unset.
std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<CredentialChoice> choice_in(const std::string& path, const std::string& host,
                                   const std::string& repository) {
  TRY_ASSIGN(Buffer text, os::read_file(path, kMaxAuthFileBytes));
  TRY_ASSIGN(AuthFile file, parse_auth_file(text, path));
  return choose_credential(file, host, repository);
}

std::vector<std::string> usual_files() {
  std::vector<std::string> files;
  auto add = [&](const std::string& folder, const char* name) {
    if (!folder.empty()) files.push_back(folder + name);
  };
  add(environment("DOCKER_CONFIG"), "/config.json");
  add(environment("XDG_RUNTIME_DIR"), "/containers/auth.json");
  add(environment("HOME"), "/.docker/config.json");
  return files;
}

}  // namespace

Result<Credential> read_credential(const std::string& auth_file, const std::string& host,
                                   const std::string& repository) {
  TRY_ASSIGN(CredentialChoice choice, choice_in(auth_file, host, repository));
  if (choice.helper.empty()) return std::move(choice.credential);
  return make_error(Code::unsupported, fmt::format("{}: {} needs docker-credential-{}, which is not run here",
                                                   auth_file, host, choice.helper));
}

Result<Credential> find_credential(const std::string& auth_file, const std::string& host,
                                   const std::string& repository) {
  std::string named = auth_file.empty() ? environment("REGISTRY_AUTH_FILE") : auth_file;
  std::vector<std::string> files = named.empty() ? usual_files() : std::vector<std::string>{named};
  for (const std::string& path : files) {
    if (named.empty() && access(path.c_str(), F_OK) != 0) continue;
    TRY_ASSIGN(CredentialChoice choice, choice_in(path, host, repository));
    if (!choice.helper.empty()) {
      Result<Credential> found = ask_credential_helper(choice.helper, host);
      if (!found) return std::move(found).error().within("credentials of " + host);
      choice.credential = std::move(*found);
    }
    if (!choice.credential.empty()) return std::move(choice.credential);
  }
  return Credential{};
}

}  // namespace erofs_format::registry
