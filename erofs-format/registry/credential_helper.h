// docker-credential-NAME, the programs that keep passwords for `docker login`.
#pragma once

#include <string>

#include "erofs-format/registry/credentials.h"

namespace erofs_format::registry {

// What `docker-credential-NAME get` knows about the registry at `host`; empty when it knows nothing. Found in
// $PATH, run without a shell, ended after kHelperTimeoutMs.
Result<Credential> ask_credential_helper(const std::string& name, const std::string& host);

}  // namespace erofs_format::registry
