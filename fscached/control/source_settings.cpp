#include "fscached/control/source_settings.h"

namespace fscached {

using nlohmann::json;

namespace {

std::string text_of(const json& fields, const char* name) {
  auto found = fields.find(name);
  return found != fields.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

SourceSettings source_settings_of(const json& fields) {
  SourceSettings settings;
  settings.where = text_of(fields, "blobs");
  auto plain = fields.find("plain_http");
  settings.plain_http = plain != fields.end() && *plain == true;
  auto credential = fields.find("credential");
  if (credential == fields.end() || !credential->is_object()) return settings;
  settings.credential.user = text_of(*credential, "user");
  settings.credential.password = text_of(*credential, "password");
  settings.credential.registry_token = text_of(*credential, "registry_token");
  return settings;
}

void add_source_settings(json& fields, const SourceSettings& settings) {
  fields["blobs"] = settings.where;
  if (settings.plain_http) fields["plain_http"] = true;
  if (!settings.credential.empty())
    fields["credential"] = {{"user", settings.credential.user},
                            {"password", settings.credential.password},
                            {"registry_token", settings.credential.registry_token}};
}

}  // namespace fscached
