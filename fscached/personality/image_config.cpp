#include "fscached/personality/image_config.h"

#include "erofs-format/image/json.h"

namespace fscached {

namespace {

constexpr char kName[] = "configuration";

Result<std::string> needed_text(const JsonField& field) {
  TRY_ASSIGN(std::string text, field.optional_text());
  if (text.empty()) return field.error("is missing");
  return text;
}

Result<std::string> needed_folder(const JsonField& field) {
  auto path = needed_text(field);
  if (!path) return path;
  if (path->front() != '/') return field.error("is no absolute path");
  while (path->size() > 1 && path->back() == '/') path->pop_back();
  return path;
}

bool is_true(const JsonField& field) { return field.present() && field.value() == true; }

Result<void> read_registry(const JsonField& backend, ImageConfig& config) {
  TRY_ASSIGN(std::string host, needed_text(backend.member("host")));
  TRY_ASSIGN(std::string repository, needed_text(backend.member("repo")));
  config.where = "docker://" + host + "/" + repository;
  TRY_ASSIGN(std::string scheme, backend.member("scheme").optional_text());
  if (!scheme.empty() && scheme != "http" && scheme != "https")
    return backend.member("scheme").error("is neither http nor https");
  config.plain_http = scheme == "http";
  TRY_ASSIGN(config.credential, registry::credential_of_nydusd(backend));
  return {};
}

Result<void> read_localfs(const JsonField& backend, ImageConfig& config) {
  if (backend.member("blob_file").present())
    return make_error(Code::unsupported, backend.member("blob_file").name() +
                                             ": not supported: name the folder with 'dir', in which blobs "
                                             "are called by their ids");
  TRY_ASSIGN(config.where, needed_folder(backend.member("dir")));
  return {};
}

Result<void> read_http_proxy(const JsonField& backend, ImageConfig& config) {
  TRY_ASSIGN(std::string address, needed_text(backend.member("addr")));
  TRY_ASSIGN(std::string path, backend.member("path").optional_text());
  if (!address.starts_with("http://") && !address.starts_with("https://"))
    return make_error(Code::unsupported,
                      backend.member("addr").name() + ": is neither an http:// nor an https:// address");
  config.where = address + (path.starts_with('/') || path.empty() ? "" : "/") + path;
  return {};
}

Result<void> read_backend(const JsonField& type, const JsonField& backend, ImageConfig& config) {
  TRY_ASSIGN(config.backend, needed_text(type));
  if (config.backend == "registry") return read_registry(backend, config);
  if (config.backend == "localfs") return read_localfs(backend, config);
  if (config.backend == "http-proxy") return read_http_proxy(backend, config);
  return make_error(Code::unsupported, type.name() + ": '" + printable(config.backend) +
                                           "' is not supported: registry, localfs and http-proxy are");
}

// `folder` holds work_dir.
Result<void> read_cache(const JsonField& type, const JsonField& folder, ImageConfig& config) {
  TRY_ASSIGN(std::string name, type.optional_text());
  if (name.empty() || name == "dummycache")
    return make_error(Code::unsupported, type.name() + ": '" + name +
                                             "' keeps nothing on the disk, but EROFS reads from files there: "
                                             "say blobcache");
  if (name != "blobcache" && name != "filecache" && name != "fscache")
    return make_error(Code::unsupported, type.name() + ": '" + printable(name) + "' is not known");
  TRY_ASSIGN(config.work_dir, needed_folder(folder.member("work_dir")));
  return {};
}

bool wants_all(const JsonField& prefetch) {
  return is_true(prefetch.member("enable")) && is_true(prefetch.member("prefetch_all"));
}

Result<void> read_fuse_form(const JsonField& document, ImageConfig& config) {
  JsonField device = document.member("device");
  JsonField backend = device.member("backend"), cache = device.member("cache");
  TRY(read_backend(backend.member("type"), backend.member("config"), config));
  TRY(read_cache(cache.member("type"), cache.member("config"), config));
  TRY_ASSIGN(config.id, device.member("id").optional_text());
  config.prefetch = wants_all(document.member("fs_prefetch"));
  return {};
}

Result<void> read_blob_form(const JsonField& inner, ImageConfig& config) {
  TRY(read_backend(inner.member("backend_type"), inner.member("backend_config"), config));
  TRY(read_cache(inner.member("cache_type"), inner.member("cache_config"), config));
  TRY_ASSIGN(config.metadata_path, inner.member("metadata_path").optional_text());
  config.prefetch = wants_all(inner.member("prefetch_config"));
  return {};
}

Result<void> read_second_version(const JsonField& document, ImageConfig& config) {
  JsonField backend = document.member("backend"), cache = document.member("cache");
  TRY_ASSIGN(std::string kind, backend.member("type").optional_text());
  TRY(read_backend(backend.member("type"), backend.member(kind), config));
  JsonField fscache = cache.member("fscache");
  TRY(read_cache(cache.member("type"), fscache.present() ? fscache : cache.member("filecache"), config));
  TRY_ASSIGN(config.metadata_path, document.member("metadata_path").optional_text());
  config.prefetch = wants_all(cache.member("prefetch"));
  return {};
}

}  // namespace

Result<ImageConfig> parse_image_config(ByteView text) {
  TRY_ASSIGN(Json parsed, parse_document(text, kName));
  JsonField document(parsed, kName);
  ImageConfig config;
  if (document.member("device").present()) {
    TRY(read_fuse_form(document, config));
    return config;
  }
  TRY_ASSIGN(config.id, document.member("id").optional_text());
  TRY_ASSIGN(config.domain, document.member("domain_id").optional_text());
  if (document.member("config_v2").present())
    TRY(read_second_version(document.member("config_v2"), config));
  else if (document.member("config").present())
    TRY(read_blob_form(document.member("config"), config));
  else if (document.member("backend").present())
    TRY(read_second_version(document, config));
  else
    return make_error(Code::invalid_argument, "configuration: neither 'device' nor 'config' is in it");
  return config;
}

}  // namespace fscached
