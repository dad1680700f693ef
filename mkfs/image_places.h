// Opens what IMAGE references name, of every kind, for reading and for writing.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "erofs-format/image/image_store.h"
#include "erofs-format/image/reference.h"
#include "erofs-format/registry/repository_client.h"

namespace mkfs {

using namespace erofs_format;

struct RegistryOptions {
  registry::HttpOptions http;
  std::vector<std::string>
      plain_hosts;        // HOST[:PORT] that are spoken to without TLS; loopback ones always are
  std::string auth_file;  // empty: the usual places
  std::string work_dir;   // where a blob lies until it is pushed
};

class ImagePlaces {
 public:
  explicit ImagePlaces(RegistryOptions options) : options_(std::move(options)) {}

  struct Source {
    std::unique_ptr<ImageStore> store;
    Descriptor root;  // a manifest or an index
  };
  // Stores and targets do not outlive this object.
  Result<Source> source(const ImageReference& reference);
  Result<std::unique_ptr<ImageTarget>> target(const ImageReference& reference);
  // The images of a repository or folder, by their names there.
  Result<std::vector<std::string>> tags(const ImageReference& place);
  // The name under which publish() shows an image there.
  static std::string tag_of(const ImageReference& target);

 private:
  Result<registry::RepositoryClient*> client(const ImageReference& reference);

  const RegistryOptions options_;
  std::unique_ptr<registry::CurlThread> thread_;
  std::map<std::string, std::unique_ptr<registry::RepositoryClient>> clients_;  // by HOST/NAME
};

}  // namespace mkfs
