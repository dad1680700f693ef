#include "erofs-format/registry/hosts_file.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

using namespace erofs_format;
using namespace erofs_format::registry;

namespace {

constexpr const char* kPath = "/etc/certs.d/r.example/hosts.toml";

std::string refused(const std::string& text) {
  auto file = parse_hosts_file(text, kPath);
  REQUIRE_FALSE(file);
  CHECK(file.error().message.find(kPath) != std::string::npos);
  return file.error().message;
}

}  // namespace

// toml++ alone would end the program at the first, and guess at the others.
TEST_CASE("hosts.toml: keys that are none, and any letter") {
  CHECK(refused("[&host.\"https://zz.example\"]\n").find("line 1") != std::string::npos);
  CHECK(refused("# one\n\xC3\xBC = 1").find("line 2") != std::string::npos);
  CHECK(refused("\xEF\xB9\xBF").find("line 1") != std::string::npos);
  CHECK(parse_hosts_file("# \xC3\xBC \xEF\xB9\xBF\nx = \"\xC3\xBC\"", kPath));
}

TEST_CASE("hosts.toml: as containerd's documentation shows it") {
  auto file = parse_hosts_file(R"(
server = "https://registry-1.docker.io"
ca = "own.pem"

[host."https://zz.example:5000"]
  capabilities = ["pull", "resolve"]
  ca = ["/etc/ssl/mirror.pem"]
  client = [["mirror.cert", "/keys/mirror.key"]]
  [host."https://zz.example:5000".header]
    X-One = "1"
    X-Two = ["2", "3"]
[host."http://aa.example/proxy"]
  capabilities = ["pull"]
  override_path = true
  client = "both.pem"
  dial_timeout = "1s"
[host."push.example"]
  capabilities = ["push"]
)",
                               kPath);
  REQUIRE_MESSAGE(file, file.error().message);
  CHECK(file->server->text == "https://registry-1.docker.io/v2/");
  CHECK(file->terms.ca_file == "/etc/certs.d/r.example/own.pem");
  REQUIRE(file->mirrors.size() == 3);
  const HostEntry& first = file->mirrors[0];
  CHECK(first.base.text == "https://zz.example:5000/v2/");
  CHECK(first.resolve);
  CHECK(first.terms.ca_file == "/etc/ssl/mirror.pem");
  CHECK(first.terms.certificate == "/etc/certs.d/r.example/mirror.cert");
  CHECK(first.terms.key == "/keys/mirror.key");
  CHECK(first.terms.headers == std::vector<std::string>{"X-One: 1", "X-Two: 2", "X-Two: 3"});
  const HostEntry& second = file->mirrors[1];
  CHECK(second.base.text == "http://aa.example/proxy/");
  CHECK_FALSE(second.resolve);
  CHECK(second.terms.certificate == "/etc/certs.d/r.example/both.pem");
  CHECK(second.terms.key == second.terms.certificate);
  CHECK_FALSE(file->mirrors[2].pull);
}

TEST_CASE("hosts.toml: the places of a repository, mirrors first") {
  auto file = parse_hosts_file(
      "[host.\"https://m.example\"]\ncapabilities=[\"pull\"]\n[host.\"https://"
      "p.example\"]\ncapabilities=[\"push\"]\n",
      kPath);
  REQUIRE(file);
  Repository repository = *parse_repository("docker.io/debian", PlainHttp::loopback_only);
  auto places = places_of(repository, *file);
  REQUIRE(places);
  REQUIRE(places->size() == 2);
  const Place& mirror = places->front();
  CHECK(mirror.repository.base.text == "https://m.example/v2/library/debian/");
  CHECK(mirror.repository.host == "m.example");
  CHECK(mirror.terms.ns == "docker.io");
  CHECK_FALSE(mirror.resolve);
  CHECK(places->back().repository.base.text == repository.base.text);
  CHECK(places->back().terms.ns.empty());

  file = parse_hosts_file("server = \"https://127.0.0.1:5000\"", kPath);
  places = places_of(*parse_repository("127.0.0.1:5000/a", PlainHttp::loopback_only), *file);
  REQUIRE(places);
  CHECK(places->back().repository.base.text == "https://127.0.0.1:5000/v2/a/");
}

TEST_CASE("hosts.toml: what cannot be done is refused, and named") {
  CHECK(refused("skip_verify = true").find("skip_verify") != std::string::npos);
  std::string said = refused("[host.\"https://m.example\"]\nskip_verify = true");
  CHECK(said.find("m.example") != std::string::npos);
  CHECK(said.find("ca") != std::string::npos);
  CHECK(refused("[host.\"https://m.example\"]\ncapabilities = [\"fly\"]").find("'fly'") != std::string::npos);
  CHECK(refused("a = \n").find("line 1") != std::string::npos);
  for (const char* text : {"server = 1", "host = 1", "ca = 1", "ca = [\"a\", \"b\"]", "ca = [1]",
                           "client = []", "header = 1", "client = [[\"a\", \"b\", \"c\"]]", "client = [[1]]",
                           "[header]\nX = 1", "[header]\nX = \"a\\r\\nB: c\"", "[header]\n\"X Y\" = \"a\"",
                           "[host]\n\"https://u:p@m.example\" = {}", "[host]\n\"https://m\" = 1",
                           "[host.\"ftp://m\"]", "server = \"https://\"", "server = \"https://r?a=b\"",
                           "[host.\"https://m\"]\ncapabilities = \"pull\""}) {
    INFO(std::string(text));
    refused(text);
  }
  std::string many;
  for (size_t i = 0; i <= kMaxMirrors; i++) many += fmt::format("[host.\"https://m{}\"]\n", i);
  refused(many);
  CHECK(parse_hosts_file("skip_verify = false", kPath));
}

TEST_CASE("hosts.toml: the registry's own folder, else that of all others") {
  char folder[] = "/tmp/hosts-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  std::string top = folder;
  auto put = [&](const std::string& name, const std::string& server) {
    mkdir((top + "/" + name).c_str(), 0700);
    std::ofstream(top + "/" + name + "/hosts.toml") << "server = \"" << server << "\"\n";
  };
  auto server_of = [&](const std::string& host) {
    auto file = find_hosts_file(top, host);
    REQUIRE_MESSAGE(file, file.error().message);
    return file->server ? file->server->host : "";
  };
  CHECK(server_of("r.example:5000") == "");
  put("_default", "https://other.example");
  put("r.example:5000", "https://own.example");
  CHECK(server_of("r.example:5000") == "own.example");
  CHECK(server_of("r.example") == "other.example");
  CHECK_FALSE(find_hosts_file("", "r.example")->server);
  REQUIRE(system(("rm -r " + top).c_str()) == 0);
}
