// What the files of `docker login`, `podman login` and their helpers say about a registry. Pure;
// `credential_files` reads them. No message ever holds a value.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"
#include "erofs-format/image/json.h"

namespace erofs_format::registry {

inline constexpr uint64_t kMaxAuthFileBytes = 1 << 20;
inline constexpr size_t kMaxSecretBytes = 64 << 10;

struct Credential {
  std::string user, password;
  std::string identity_token;  // for which a token service gives tokens
  std::string registry_token;  // a bearer token itself

  bool has_password() const { return !user.empty(); }
  bool empty() const { return user.empty() && identity_token.empty() && registry_token.empty(); }
  auto operator<=>(const Credential&) const = default;
  // The value of an Authorization header.
  std::string basic() const;
};

// "auth" and "registry_token" of nydusd's settings of a registry.
Result<Credential> credential_of_nydusd(const JsonField& backend);

// config.json or auth.json.
struct AuthFile {
  std::map<std::string, Credential> auths;     // by HOST[:PORT][/PATH], scheme and /v1, /v2 taken away
  std::map<std::string, std::string> helpers;  // HOST -> NAME of docker-credential-NAME
  std::string store;                           // the helper of all others; empty = none
};
Result<AuthFile> parse_auth_file(ByteView text, const std::string& name);

// Either a credential, or the helper that has it, or neither: then the registry is asked as nobody.
struct CredentialChoice {
  Credential credential;
  std::string helper;
};
// `host` as in the image's name. The longest entry that leads to the repository wins.
CredentialChoice choose_credential(const AuthFile& file, const std::string& host,
                                   const std::string& repository);

// The name under which a helper or an old config.json knows a registry.
std::string helper_server(const std::string& host);
// What `docker-credential-NAME get` prints: {"Username": …, "Secret": …}.
Result<Credential> parse_helper_answer(std::string_view text, const std::string& helper);

}  // namespace erofs_format::registry
