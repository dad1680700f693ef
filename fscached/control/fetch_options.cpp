#include "fscached/control/fetch_options.h"

#include "erofs-format/registry/credential_files.h"

namespace fscached {

StorageOptions fetch_options(const Config& config) {
  StorageOptions options;
  options.ca_file = config.ca_file;
  if (!config.auth_file.empty())
    options.credential = [file = config.auth_file](const std::string& host, const std::string& repository) {
      return registry::read_credential(file, host, repository);
    };
  options.plain_http = config.plain_http;
  options.hosts_folder = config.hosts_folder;
  options.connect_timeout_ms = config.connect_timeout_ms;
  options.stall_timeout_s = config.stall_timeout_s;
  options.read_timeout_ms = config.read_timeout_ms;
  return options;
}

}  // namespace fscached
