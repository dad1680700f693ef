#include "erofs-format/image/reference.h"

#include <doctest/doctest.h>

using namespace erofs_format;

namespace {
ImageReference parsed(std::string_view text) {
  auto reference = parse_reference(text);
  REQUIRE_MESSAGE(reference, text << ": " << (reference ? "" : reference.error().message));
  return *reference;
}
const std::string kHex(64, 'a');
}  // namespace

TEST_CASE("references of registries") {
  auto full = parsed("docker://example.org:5000/library/debian:12");
  CHECK(full.transport == Transport::registry);
  CHECK(full.host == "example.org:5000");
  CHECK(full.name == "library/debian");
  CHECK(full.tag == "12");
  CHECK(full.digest.empty());
  auto short_form = parsed("localhost/a@sha256:" + kHex);
  CHECK(short_form.host == "localhost");
  CHECK(short_form.digest == "sha256:" + kHex);
  CHECK(short_form.tag.empty());
  auto both = parsed("10.0.0.1:80/a/b_c/d-e:v1.2-x@sha256:" + kHex);
  CHECK(both.tag == "v1.2-x");
  CHECK(both.name == "a/b_c/d-e");
  CHECK(parsed("[::1]:5000/a").host == "[::1]:5000");
}

TEST_CASE("references of folders and archives") {
  auto plain = parsed("oci:/some/dir");
  CHECK(plain.transport == Transport::oci_layout);
  CHECK(plain.path == "/some/dir");
  CHECK(plain.tag.empty());
  CHECK(parsed("oci:dir:a").tag == "a");
  CHECK(parsed("oci:dir:example.org/x:1").tag == "example.org/x:1");
  CHECK(parsed("oci-archive:f.tar:t").transport == Transport::oci_archive);
  CHECK(parsed("docker-archive:f.tar").path == "f.tar");
}

TEST_CASE("a reference written is the reference read") {
  for (std::string text :
       {"docker://example.org:5000/library/debian:12", "oci:dir:tag", "oci-archive:x", "docker-archive:y:z"})
    CHECK(to_string(parsed(text)) == text);
}

TEST_CASE("what is no reference is a usage error that shows it") {
  for (std::string text :
       {std::string(""), std::string("docker://"), std::string("debian"), std::string("library/debian"),
        std::string("example.org/"), std::string("example.org/UPPER"), std::string("example.org/a//b"),
        std::string("example.org/a:"), std::string("example.org/a:.x"),
        std::string("example.org/a@sha256:12"), std::string("example.org/a@md5:") + kHex,
        std::string("example.org:port/a"), std::string("[zz]/a"), std::string("oci:"),
        std::string("oci::tag"), std::string("oci:dir:"), std::string("oci:dir:a b"),
        "example.org/a:" + std::string(129, 'a'), std::string(10000, 'a')}) {
    auto reference = parse_reference(text);
    CHECK_MESSAGE(!reference, text);
    if (!reference) {
      CHECK(reference.error().exit_code == 2);
      CHECK(reference.error().message.starts_with("image '"));
    }
  }
}
