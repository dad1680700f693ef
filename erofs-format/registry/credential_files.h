// Finds the credential of a repository: in the file that is named, or in those of `docker login` and `podman
// login`.
#pragma once

#include <string>

#include "erofs-format/registry/credentials.h"

namespace erofs_format::registry {

// `auth_file`: empty = $REGISTRY_AUTH_FILE, else $DOCKER_CONFIG/config.json,
// $XDG_RUNTIME_DIR/containers/auth.json and ~/.docker/config.json, the first that knows the repository.
// Empty: none does. A file that was named must be there. Runs credential helpers.
Result<Credential> find_credential(const std::string& auth_file, const std::string& host,
                                   const std::string& repository);
// From one file, without helpers: an entry that needs one is an error.
Result<Credential> read_credential(const std::string& auth_file, const std::string& host,
                                   const std::string& repository);

}  // namespace erofs_format::registry
