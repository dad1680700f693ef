#include <doctest/doctest.h>

#include "erofs-format/image/manifest.h"

using namespace erofs_format;

namespace {
const std::string kDigest = "sha256:" + std::string(64, '1');
const std::string kManifest =
    R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","zzz":[1,{"k":null}],)"
    R"("config":{"mediaType":"c","digest":")" +
    kDigest + R"(","size":7,"extra":"kept"},"layers":[{"mediaType":"l","digest":")" + kDigest +
    R"(","size":18446744073709551615,"urls":["u"]}],"annotations":{"a":"b"}})";

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  size_t at = text.find(what);
  REQUIRE(at != text.npos);
  return text.replace(at, what.size(), with);
}
std::string manifest_error(const std::string& text) {
  auto manifest = parse_manifest(as_bytes(text), "manifest m");
  return manifest ? "" : manifest.error().message;
}
}  // namespace

TEST_CASE("a manifest keeps what it does not know") {
  auto manifest = parse_manifest(as_bytes(kManifest), "m");
  REQUIRE(manifest);
  CHECK(manifest->layers.size() == 1);
  CHECK(manifest->layers[0].size == UINT64_MAX);
  CHECK(manifest->annotations.at("a") == "b");
  CHECK(serialize(*manifest) == kManifest);
  manifest->layers[0].annotations["x"] = "y";
  std::string text = serialize(*manifest);
  CHECK(text.find(R"("urls":["u"],"annotations":{"x":"y"})") != text.npos);
}

TEST_CASE("a broken manifest is named with its field") {
  CHECK(manifest_error("{") == "manifest m: not a JSON document");
  CHECK(manifest_error("[]") == "manifest m: not a JSON object");
  CHECK(manifest_error("{}") == "manifest m: schemaVersion: missing");
  CHECK(manifest_error(kManifest + "x") == "manifest m: not a JSON document");
  CHECK(manifest_error(replaced(kManifest, "Version\":2", "Version\":1")) ==
        "manifest m: schemaVersion: 1 is not supported");
  CHECK(manifest_error(replaced(kManifest, ":7", ":-7")) ==
        "manifest m: config.size: not a number of 0 or more");
  CHECK(manifest_error(replaced(kManifest, ":7", ":\"7\"")) ==
        "manifest m: config.size: not a number of 0 or more");
  CHECK(manifest_error(replaced(kManifest, "\"layers\"", "\"loyers\"")) == "manifest m: layers: missing");
  CHECK(manifest_error(replaced(kManifest, "[{\"mediaType\":\"l\"", "[5,{\"mediaType\":\"l\"")) ==
        "manifest m: layers[0]: not an object");
  CHECK(manifest_error(replaced(kManifest, "{\"a\":\"b\"}", "{\"a\":1}")) ==
        "manifest m: annotations.a: not a string");
  CHECK(manifest_error(replaced(kManifest, "image.manifest.v1", "image.index.v1"))
            .find("is no image manifest") != std::string::npos);
  CHECK(manifest_error(replaced(kManifest, "sha256:1", "sha256:x"))
            .starts_with("manifest m: config.digest: 'sha256:x1"));
}

TEST_CASE("depth and size of a document are bounded") {
  std::string deep = "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  CHECK(manifest_error(deep) == "manifest m: nested deeper than 64 levels");
  CHECK(manifest_error(std::string(kMaxDocumentSize + 1, ' ')) == "manifest m: larger than 4194304 bytes");
  // Brackets inside strings are no nesting.
  std::string text = replaced(kManifest, "\"u\"", "\"" + std::string(1000, '[') + "\\\"[\"");
  CHECK(manifest_error(text) == "");
}

TEST_CASE("a list of layers is bounded") {
  std::string layer = R"({"mediaType":"l","digest":")" + kDigest + R"(","size":1})";
  std::string many = layer;
  for (size_t i = 0; i < kMaxLayers; i++) many += "," + layer;
  std::string text = replaced(kManifest, "\"layers\":[", "\"layers\":[" + many + ",");
  CHECK(manifest_error(text) == "manifest m: layers: more than 512 entries");
}

TEST_CASE("a config gets new layers and history") {
  std::string text =
      R"({"created":"2020-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{"Cmd":["x"]},)"
      R"("rootfs":{"type":"layers","diff_ids":[")" +
      kDigest + R"("]},"history":[{"created_by":"a"}]})";
  auto config = parse_config(as_bytes(text), "config c");
  REQUIRE(config);
  CHECK(to_string(config->platform) == "linux/amd64");
  REQUIRE(config->diff_ids.size() == 1);
  CHECK(serialize(*config) == text);
  config->set_diff_ids({sha256(as_bytes("1")), sha256(as_bytes("2"))});
  config->add_history("by", "why");
  auto again = parse_config(as_bytes(serialize(*config)), "config c");
  REQUIRE(again);
  CHECK(again->diff_ids.size() == 2);
  CHECK(again->document["history"][1]["comment"] == "why");
  CHECK(again->document["history"][1]["created"] == "2020-01-01T00:00:00Z");
  CHECK(again->document["config"]["Cmd"][0] == "x");
  std::string broken = replaced(text, "\"rootfs\":{", "\"rootfs\":[],\"x\":{");
  auto error = parse_config(as_bytes(broken), "config c");
  REQUIRE(!error);
  CHECK(error.error().message == "config c: rootfs: not an object");
}

TEST_CASE("platforms") {
  auto arm = parse_platform("linux/arm64/v8");
  REQUIRE(arm);
  CHECK(arm->variant == "v8");
  CHECK(arm->serves({"linux", "arm64", ""}));
  CHECK(!arm->serves({"linux", "arm64", "v9"}));
  CHECK(!arm->serves({"linux", "amd64", ""}));
  for (auto bad : {"", "linux", "linux/", "/amd64", "a/b/c/d", "a/b/"}) CHECK(!parse_platform(bad));
}
