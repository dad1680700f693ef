// Where an image's blobs come from, and how that place is asked: of one mount, beyond the daemon's own
// settings.
#pragma once

#include <compare>
#include <nlohmann/json.hpp>
#include <string>

#include "erofs-format/registry/credentials.h"

namespace fscached {

using namespace erofs_format;

struct SourceSettings {
  std::string where;                // as --blobs takes it; empty = a plain image
  bool plain_http = false;          // docker:// without TLS
  registry::Credential credential;  // empty = what the daemon's settings name

  auto operator<=>(const SourceSettings&) const = default;
};

// The fields `blobs`, `plain_http` and `credential` {`user`, `password`, `registry_token`} of a request of
// the control socket, and of a mount's record. What is absent or no text is empty.
SourceSettings source_settings_of(const nlohmann::json& fields);
void add_source_settings(nlohmann::json& fields, const SourceSettings& settings);

}  // namespace fscached
