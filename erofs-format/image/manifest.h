// Image manifest, image index and image configuration, OCI and Docker alike.
#pragma once

#include <vector>

#include "erofs-format/image/descriptor.h"

namespace erofs_format {

constexpr std::string_view kOciManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciIndexType = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kOciConfigType = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view kDockerManifestType = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kDockerIndexType = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kOciGzipLayerType = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr std::string_view kDockerGzipLayerType = "application/vnd.docker.image.rootfs.diff.tar.gzip";

// What a Nydus image adds (nydus-rafs-v6.md 3.1).
constexpr std::string_view kNydusBlobType = "application/vnd.oci.image.layer.nydus.blob.v1";
constexpr std::string_view kNydusBlobAnnotation = "containerd.io/snapshot/nydus-blob";
constexpr std::string_view kNydusBootstrapAnnotation = "containerd.io/snapshot/nydus-bootstrap";
constexpr std::string_view kNydusFsVersionAnnotation = "containerd.io/snapshot/nydus-fs-version";
constexpr std::string_view kNydusSourceDigestAnnotation = "containerd.io/snapshot/nydus-source-digest";

// Far more layers than any runtime mounts; each holds a file open while its image is made.
constexpr size_t kMaxLayers = 512;
constexpr size_t kMaxManifests = 4096;

bool is_manifest_type(std::string_view media_type);
bool is_index_type(std::string_view media_type);

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations;
  Json document = Json::object();

  // A Nydus image: its last layer is the bootstrap.
  bool is_nydus() const;
};
// `name` stands in front of messages ("manifest sha256:…").
Result<Manifest> parse_manifest(ByteView text, const std::string& name);
std::string serialize(const Manifest& manifest);

struct Index {
  std::vector<Descriptor> manifests;
  Json document = Json::object();
};
Result<Index> parse_index(ByteView text, const std::string& name);
std::string serialize(const Index& index);

struct ImageConfig {
  Platform platform;
  std::vector<Digest> diff_ids;
  Json document = Json::object();

  // Replaces diff_ids, lowest layer first.
  void set_diff_ids(std::vector<Digest> ids);
  // Adds what made one more layer.
  void add_history(std::string_view created_by, std::string_view comment);
};
Result<ImageConfig> parse_config(ByteView text, const std::string& name);
std::string serialize(const ImageConfig& config);

}  // namespace erofs_format
