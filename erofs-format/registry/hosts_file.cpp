#include "erofs-format/registry/hosts_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/os.h"
#include "erofs-format/base/toml.h"

namespace erofs_format::registry {

namespace {

Error bad(const std::string& name, std::string_view why) {
  return make_error(Code::invalid_argument, fmt::format("{}: {}", name, why));
}

Result<std::string> text_of(const toml::node& node, const std::string& name) {
  const auto* text = node.as_string();
  if (text == nullptr) return bad(name, "not a text");
  return text->get();
}

std::string beside(const std::string& path, const std::string& file) {
  return file.starts_with('/') ? file : os::parent_directory(path) + "/" + file;
}

// One text, or a list of just one.
Result<std::string> only_text(const toml::node& node, const std::string& name) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return text_of(node, name);
  if (list->size() != 1) return bad(name, fmt::format("{} files, where one can be used", list->size()));
  return text_of(*list->get(0), name);
}

// "both.pem", ["both.pem"] or [["certificate.pem", "key.pem"]].
Result<void> read_client(OriginOptions& terms, const toml::node& node, const std::string& name,
                         const std::string& path) {
  const toml::array* list = node.as_array();
  const toml::array* pair = list != nullptr && list->size() == 1 ? list->get(0)->as_array() : nullptr;
  if (pair == nullptr) {
    TRY_ASSIGN(std::string file, only_text(node, name));
    terms.certificate = terms.key = beside(path, file);
    return {};
  }
  if (pair->empty() || pair->size() > 2) return bad(name, "not a certificate and its key");
  TRY_ASSIGN(std::string certificate, text_of(*pair->get(0), name));
  TRY_ASSIGN(std::string key, text_of(*pair->get(pair->size() - 1), name));
  terms.certificate = beside(path, certificate);
  terms.key = beside(path, key);
  return {};
}

bool is_header_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= ' ' && c != 127; });
}

Result<void> add_header(OriginOptions& terms, std::string_view field, const toml::node& value,
                        const std::string& name) {
  TRY_ASSIGN(std::string text, text_of(value, name));
  if (field.empty() || field.find_first_of(": \t") != field.npos || !is_header_text(field) ||
      !is_header_text(text))
    return bad(name, "not a header");
  terms.headers.push_back(fmt::format("{}: {}", field, text));
  return {};
}

Result<void> read_headers(OriginOptions& terms, const toml::node& node, const std::string& name) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return bad(name, "not a table");
  for (auto&& [key, value] : *table) {
    std::string field = fmt::format("{}.{}", name, printable(key.str()));
    const toml::array* list = value.as_array();
    if (list == nullptr) {
      TRY(add_header(terms, key.str(), value, field));
      continue;
    }
    for (const toml::node& element : *list) TRY(add_header(terms, key.str(), element, field));
  }
  return {};
}

Result<void> read_terms(OriginOptions& terms, const toml::table& table, const std::string& name,
                        const std::string& path) {
  if (const toml::node* ca = table.get("ca")) {
    TRY_ASSIGN(std::string file, only_text(*ca, name + "ca"));
    terms.ca_file = beside(path, file);
  }
  if (const toml::node* client = table.get("client")) TRY(read_client(terms, *client, name + "client", path));
  if (const toml::node* headers = table.get("header")) TRY(read_headers(terms, *headers, name + "header"));
  if (table["skip_verify"].value_or(false))
    return bad(name + "skip_verify", "a server is always verified: name its authority with ca");
  return {};
}

Result<Url> base_of(std::string text, bool override_path) {
  if (text.find("://") == text.npos) text.insert(0, "https://");
  TRY_ASSIGN(Url given, parse_url(text));
  text = given.text;
  if (text.find('?') != text.npos) return make_error(Code::invalid_argument, "a query has no place here");
  while (text.ends_with('/')) text.pop_back();
  if (!override_path && !text.ends_with("/v2")) text += "/v2";
  return parse_url(text + "/");
}

Result<void> read_capabilities(HostEntry& entry, const toml::node* node, const std::string& name) {
  if (node == nullptr) return {};
  const toml::array* list = node->as_array();
  if (list == nullptr) return bad(name, "not a list");
  entry.pull = entry.resolve = false;
  for (const toml::node& element : *list) {
    TRY_ASSIGN(std::string word, text_of(element, name));
    if (word == "pull")
      entry.pull = true;
    else if (word == "resolve")
      entry.resolve = true;
    else if (word != "push" && word != "referrers")
      return bad(name, fmt::format("'{}' is not pull, resolve or push", printable(word)));
  }
  return {};
}

Result<HostEntry> mirror_from(const std::string& url, const toml::node& node, const std::string& path) {
  std::string name = fmt::format("{}: host '{}'", path, printable(url));
  const toml::table* table = node.as_table();
  if (table == nullptr) return bad(name, "not a table");
  HostEntry entry;
  auto base = base_of(url, (*table)["override_path"].value_or(false));
  if (!base) return std::move(base).error().within(name);
  entry.base = std::move(*base);
  TRY(read_terms(entry.terms, *table, name + ".", path));
  TRY(read_capabilities(entry, table->get("capabilities"), name + ".capabilities"));
  return entry;
}

// Tables are sorted by name in memory; what counts is where they stand.
std::vector<std::pair<std::string, const toml::node*>> in_order(const toml::table& hosts) {
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (auto&& [url, node] : hosts) entries.emplace_back(url.str(), &node);
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.second->source().begin < b.second->source().begin; });
  return entries;
}

// HOST[:PORT] of a URL: what credentials are kept under.
std::string authority_of(const Url& url) {
  std::string_view text(url.text);
  text.remove_prefix(text.find("://") + 3);
  return std::string(text.substr(0, text.find('/')));
}

Result<Place> place_at(const Url& base, const Repository& repository) {
  Place place;
  place.repository = repository;
  TRY_ASSIGN(place.repository.base, join_url(base, repository.name + "/"));
  return place;
}

}  // namespace

Result<HostsFile> parse_hosts_file(std::string_view text, const std::string& path) {
  TRY_ASSIGN(toml::table table, parse_toml(text, path));
  HostsFile file;
  TRY(read_terms(file.terms, table, path + ": ", path));
  if (const toml::node* server = table.get("server")) {
    TRY_ASSIGN(std::string url, text_of(*server, path + ": server"));
    auto base = base_of(url, table["override_path"].value_or(false));
    if (!base) return std::move(base).error().within(path + ": server");
    file.server = std::move(*base);
  }
  const toml::node* hosts = table.get("host");
  if (hosts == nullptr) return file;
  if (!hosts->is_table()) return bad(path + ": host", "not a table");
  for (const auto& [url, node] : in_order(*hosts->as_table())) {
    if (file.mirrors.size() == kMaxMirrors) return bad(path, fmt::format("more than {} hosts", kMaxMirrors));
    TRY_ASSIGN(HostEntry entry, mirror_from(url, *node, path));
    file.mirrors.push_back(std::move(entry));
  }
  return file;
}

Result<HostsFile> find_hosts_file(const std::string& folder, const std::string& host) {
  if (folder.empty()) return HostsFile{};
  for (const std::string& name : {host, std::string("_default")}) {
    std::string path = fmt::format("{}/{}/hosts.toml", folder, name);
    Result<Buffer> text = os::read_file(path, kMaxHostsFileBytes);
    if (text) return parse_hosts_file(as_text(*text), path);
    if (text.error().code != Code::not_found) return std::move(text).error();
  }
  return HostsFile{};
}

Result<std::vector<Place>> places_of(const Repository& repository, const HostsFile& hosts) {
  std::vector<Place> places;
  for (const HostEntry& mirror : hosts.mirrors) {
    if (!mirror.pull) continue;
    TRY_ASSIGN(Place place, place_at(mirror.base, repository));
    place.repository.host = authority_of(mirror.base);
    place.terms = mirror.terms;
    place.terms.ns = repository.host;
    place.resolve = mirror.resolve;
    places.push_back(std::move(place));
  }
  Place last{repository, hosts.terms};
  if (hosts.server) {
    TRY_ASSIGN(last, place_at(*hosts.server, repository));
    last.terms = hosts.terms;
  }
  places.push_back(std::move(last));
  return places;
}

}  // namespace erofs_format::registry
