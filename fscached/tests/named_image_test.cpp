#include "fscached/storage/named_image.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <string>

#include "erofs-format/image/bootstrap_layer.h"
#include "erofs-format/image/layout_folder.h"
#include "erofs-format/image/read_bootstrap_layer.h"
#include "fscached/tests/fake_origin.h"
#include "fscached/tests/scratch.h"
#include "fscached/tests/storage_client.h"

using namespace fscached;

namespace {

Buffer bootstrap_bytes() {
  Buffer bytes(200'000);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  return bytes;
}

std::string digest_of(const std::string& text) { return digest_text(sha256(as_bytes(text))); }

struct Documents {
  std::string layer, manifest, original, index;

  Documents() {
    auto made = make_bootstrap_layer({{"x.blob.meta", Buffer(700, 'm')}, {"image.boot", bootstrap_bytes()}});
    REQUIRE(made);
    layer = as_text(made->gzip);
    std::string config = descriptor("application/vnd.oci.image.config.v1+json", "{}", "");
    manifest =
        document(kOciManifestType,
                 "\"config\":" + config + ",\"layers\":[" +
                     descriptor(kOciGzipLayerType, layer,
                                ",\"annotations\":{\"containerd.io/snapshot/nydus-bootstrap\":\"true\"}") +
                     "]");
    original = document(kOciManifestType, "\"config\":" + config + ",\"layers\":[" +
                                              descriptor(kOciGzipLayerType, "x", "") + "]");
    Platform host = host_platform();
    std::string platform =
        fmt::format(",\"platform\":{{\"os\":\"{}\",\"architecture\":\"{}\"}}", host.os, host.architecture);
    index =
        document(kOciIndexType, "\"manifests\":[" +
                                    descriptor(kOciManifestType, "other",
                                               ",\"platform\":{\"os\":\"plan9\",\"architecture\":\"vax\"}") +
                                    "," + descriptor(kOciManifestType, original, platform) + "," +
                                    descriptor(kOciManifestType, manifest, platform) + "]");
  }
  static std::string descriptor(std::string_view type, const std::string& content, const std::string& more) {
    return fmt::format("{{\"mediaType\":\"{}\",\"digest\":\"{}\",\"size\":{}{}}}", type, digest_of(content),
                       content.size(), more);
  }
  static std::string document(std::string_view type, const std::string& fields) {
    return fmt::format("{{\"schemaVersion\":2,\"mediaType\":\"{}\",{}}}", type, fields);
  }
};

struct Served {
  Documents documents;
  std::string layer_sent = documents.layer, manifest_sent = documents.manifest;
  FakeOrigin origin{[this](const FakeRequest& request) { return answer(request); }};

  FakeReply answer(const FakeRequest& request) {
    const std::string& target = request.target;
    auto reply = [](std::string_view type, const std::string& text) {
      return FakeReply{http_reply(200, fmt::format("Content-Type: {}\r\n", type), text)};
    };
    if (target.ends_with("/blobs/" + digest_of(documents.layer))) return honest_reply(request, layer_sent);
    if (target.ends_with("/manifests/latest") || target.ends_with("/" + digest_of(documents.manifest)))
      return reply(kOciManifestType, manifest_sent);
    if (target.ends_with("/manifests/original") || target.ends_with("/" + digest_of(documents.original)))
      return reply(kOciManifestType, documents.original);
    if (target.ends_with("/manifests/index")) return reply(kOciIndexType, documents.index);
    return {http_reply(404, "", "")};
  }
  Result<NamedImage> open(const std::string& suffix) {
    return open_named_image(fmt::format("docker://127.0.0.1:{}/a/b{}", origin.port(), suffix),
                            quick_options());
  }
};

}  // namespace

TEST_CASE("named image: from a registry, by tag, by digest, through an index") {
  Served served;
  for (const std::string& suffix : {std::string(), std::string(":latest"),
                                    "@" + digest_of(served.documents.manifest), std::string(":index")}) {
    INFO(suffix);
    auto image = served.open(suffix);
    REQUIRE_MESSAGE(image, image.error().message);
    CHECK((image->bootstrap == bootstrap_bytes()));
    CHECK(image->where == fmt::format("docker://127.0.0.1:{}/a/b", served.origin.port()));
    CHECK(image->name == image->where + (suffix.empty() ? ":latest" : suffix));
  }
}

TEST_CASE("named image: what is wrong is named") {
  Served served;
  CHECK(served.open(":original").error().code == Code::unsupported);
  CHECK(served.open(":absent").error().code == Code::not_found);
  served.layer_sent[served.layer_sent.size() / 2] ^= 1;
  CHECK(served.open(":latest").error().code == Code::digest_mismatch);
  served.layer_sent = served.documents.layer;
  served.manifest_sent += " ";
  CHECK(served.open("@" + digest_of(served.documents.manifest)).error().code == Code::digest_mismatch);
  CHECK(served.open(":index").error().code == Code::digest_mismatch);
  CHECK(open_named_image("oci-archive:/x.tar").error().code == Code::unsupported);
  CHECK_FALSE(open_named_image("oci:/nowhere"));
}

TEST_CASE("named image: from a layout") {
  Scratch scratch;
  Documents documents;
  auto transaction = LayoutTransaction::create(scratch.path() + "/layout");
  REQUIRE(transaction);
  REQUIRE(transaction->add_bytes(as_bytes(documents.layer), std::string(kOciGzipLayerType)));
  REQUIRE(transaction->add_bytes(as_bytes("{}"), std::string(kOciConfigType)));
  ByteView manifest = as_bytes(documents.manifest);
  REQUIRE(transaction->publish(describe_bytes(manifest, std::string(kOciManifestType)), manifest, "latest"));
  auto image = open_named_image("oci:" + scratch.path() + "/layout:latest");
  REQUIRE_MESSAGE(image, image.error().message);
  CHECK((image->bootstrap == bootstrap_bytes()));
  CHECK(image->where == scratch.path() + "/layout/blobs/sha256");
  CHECK(image->name == "oci:" + scratch.path() + "/layout:latest");
}

TEST_CASE("named image: one spelling of each name") {
  CHECK(*full_image_name("registry.example/team/app") == "docker://registry.example/team/app:latest");
  CHECK(*full_image_name("docker://registry.example/team/app:1") == "docker://registry.example/team/app:1");
  std::string digest = digest_of("x");
  CHECK(*full_image_name("registry.example/a@" + digest) == "docker://registry.example/a@" + digest);
  Scratch scratch;
  CHECK(*full_image_name("oci:" + scratch.path() + "/../" + scratch.path().substr(5) + "/:v1") ==
        "oci:" + scratch.path() + ":v1");
  CHECK_FALSE(full_image_name("oci:/nowhere"));
  CHECK_FALSE(full_image_name("/a/path"));
}

TEST_CASE("bootstrap layer: truncated at every block, and damaged headers, are errors") {
  auto made = make_bootstrap_layer({{"image.boot", Buffer(3000, 'b')}});
  REQUIRE(made);
  // Found by its tar: the layer's own reader does the inflating.
  auto whole = read_bootstrap_layer(made->gzip, "layer");
  REQUIRE(whole);
  CHECK(whole->size() == 3000);
  for (size_t size = 0; size < made->gzip.size() - 20; size += 3)
    CHECK_FALSE(read_bootstrap_layer(ByteView(made->gzip).first(size), "layer"));
  Buffer tar(2048, 0);
  CHECK_FALSE(read_bootstrap_layer(tar, "layer"));  // the end and no image.boot
  tar[0] = 'x';
  CHECK_FALSE(read_bootstrap_layer(tar, "layer"));  // a wrong checksum
}
