#include "erofs-format/registry/credentials.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/base64.h"
#include "erofs-format/image/json.h"

namespace erofs_format::registry {
namespace {

constexpr std::string_view kIdentityUser = "<token>";  // a helper's word for: the secret is an identity token
constexpr std::string_view kHub = "docker.io";

// Docker Hub goes by several names, of which files hold any.
std::string canonical_host(std::string_view host) {
  if (host == "index.docker.io" || host == "registry-1.docker.io") host = kHub;
  return std::string(host);
}

// "https://host/v1/" and "host" are the same; "host/team" stays.
std::string canonical_key(std::string_view key) {
  for (std::string_view scheme : {"https://", "http://"})
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  while (key.ends_with('/')) key.remove_suffix(1);
  size_t slash = key.find('/');
  std::string host = canonical_host(key.substr(0, slash));
  if (slash == std::string_view::npos) return host;
  std::string_view path = key.substr(slash);
  return path == "/v1" || path == "/v2" ? host : host.append(path);
}

// Becomes part of a header, or of a form that is encoded.
bool is_secret(std::string_view text) {
  return text.size() <= kMaxSecretBytes &&
         std::none_of(text.begin(), text.end(), [](char c) { return c == '\0' || c == '\r' || c == '\n'; });
}

Result<std::string> secret(const JsonField& field) {
  TRY_ASSIGN(std::string text, field.optional_text());
  if (!is_secret(text)) return field.error("too long, or holds control bytes");
  return text;
}

// "auth": base64 of USER:PASSWORD.
Result<void> take_pair(const JsonField& field, Credential& credential) {
  TRY_ASSIGN(std::string text, field.optional_text());
  if (text.empty()) return {};
  std::optional<std::string> pair = base64_decoded(text);
  // Some programs pad the pair itself with a NUL.
  while (pair && pair->ends_with('\0')) pair->pop_back();
  size_t colon = pair ? pair->find(':') : std::string::npos;
  if (colon == std::string::npos || colon == 0 || !is_secret(*pair))
    return field.error("not the base64 form of USER:PASSWORD");
  credential.user = pair->substr(0, colon);
  credential.password = pair->substr(colon + 1);
  return {};
}

Result<Credential> credential_from(const JsonField& entry) {
  TRY(entry.require_object());
  Credential credential;
  TRY_ASSIGN(credential.user, secret(entry.member("username")));
  TRY_ASSIGN(credential.password, secret(entry.member("password")));
  TRY(take_pair(entry.member("auth"), credential));
  TRY_ASSIGN(credential.identity_token, secret(entry.member("identitytoken")));
  TRY_ASSIGN(credential.registry_token, secret(entry.member("registrytoken")));
  return credential;
}

// A helper's name becomes part of a program's.
Result<std::string> helper_name(const JsonField& field) {
  TRY_ASSIGN(std::string name, field.optional_text());
  bool good = name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
              });
  if (!good) return field.error("not the name of a credential helper");
  return name;
}

Result<JsonField> object_member(const JsonField& parent, std::string_view key) {
  JsonField member = parent.member(key);
  if (member.present()) TRY(member.require_object());
  return member;
}

}  // namespace

Result<Credential> credential_of_nydusd(const JsonField& backend) {
  Credential credential;
  TRY(take_pair(backend.member("auth"), credential));
  TRY_ASSIGN(credential.registry_token, secret(backend.member("registry_token")));
  return credential;
}

std::string Credential::basic() const { return "Basic " + base64_encoded(user + ":" + password); }

Result<AuthFile> parse_auth_file(ByteView text, const std::string& name) {
  TRY_ASSIGN(Json document, parse_document(text, name));
  JsonField root(document, name);
  AuthFile file;
  TRY_ASSIGN(JsonField auths, object_member(root, "auths"));
  if (auths.present()) {
    for (const auto& [key, value] : auths.value().items()) {
      TRY_ASSIGN(Credential credential, credential_from(auths.member(key)));
      if (!credential.empty()) file.auths[canonical_key(key)] = std::move(credential);
    }
  }
  TRY_ASSIGN(JsonField helpers, object_member(root, "credHelpers"));
  if (helpers.present()) {
    for (const auto& [key, value] : helpers.value().items()) {
      TRY_ASSIGN(file.helpers[canonical_key(key)], helper_name(helpers.member(key)));
    }
  }
  TRY_ASSIGN(file.store, helper_name(root.member("credsStore")));
  return file;
}

CredentialChoice choose_credential(const AuthFile& file, const std::string& host,
                                   const std::string& repository) {
  std::string server = canonical_host(host);
  if (auto helper = file.helpers.find(server); helper != file.helpers.end()) return {{}, helper->second};
  for (std::string key = fmt::format("{}/{}", server, repository);; key.resize(key.rfind('/'))) {
    if (auto found = file.auths.find(key); found != file.auths.end()) return {found->second, {}};
    if (key.size() <= server.size()) break;
  }
  return {{}, file.store};
}

std::string helper_server(const std::string& host) {
  std::string server = canonical_host(host);
  return server == kHub ? "https://index.docker.io/v1/" : server;
}

Result<Credential> parse_helper_answer(std::string_view text, const std::string& helper) {
  TRY_ASSIGN(Json document, parse_document(as_bytes(text), helper));
  JsonField root(document, helper);
  TRY_ASSIGN(std::string user, secret(root.member("Username")));
  TRY_ASSIGN(std::string word, secret(root.member("Secret")));
  Credential credential;
  if (user == kIdentityUser) {
    credential.identity_token = std::move(word);
  } else {
    credential.user = std::move(user);
    credential.password = std::move(word);
  }
  return credential;
}

}  // namespace erofs_format::registry
