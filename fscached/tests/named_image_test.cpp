#include "fscached/storage/named_image.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <string>
#include <vector>

#include "erofs-format/image/bootstrap_layer.h"
#include "erofs-format/image/image_marks.h"
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

std::string descriptor(std::string_view type, const std::string& content, const std::string& more = "") {
  return fmt::format("{{\"mediaType\":\"{}\",\"digest\":\"{}\",\"size\":{}{}}}", type, digest_of(content),
                     content.size(), more);
}

std::string document(std::string_view type, const std::string& fields) {
  return fmt::format("{{\"schemaVersion\":2,\"mediaType\":\"{}\",{}}}", type, fields);
}

std::string index_of(const std::vector<std::string>& entries) {
  return document(kOciIndexType, fmt::format("\"manifests\":[{}]", fmt::join(entries, ",")));
}

// The platform of this machine, for an index.
std::string here(const std::string& more = "") {
  Platform host = host_platform();
  return fmt::format(",\"platform\":{{\"os\":\"{}\",\"architecture\":\"{}\"{}}}", host.os, host.architecture,
                     more);
}

const std::string kElsewhere = ",\"platform\":{\"os\":\"plan9\",\"architecture\":\"vax\"}";
const std::string kArtifactMark = fmt::format(",\"artifactType\":\"{}\"", kNydusArtifactType);
const std::string kFeatureMark = fmt::format(",\"os.features\":[\"{}\"]", kNydusFeature);

struct Documents {
  std::string layer, manifest, original, referrer, stranger;

  Documents() {
    auto made = make_bootstrap_layer({{"x.blob.meta", Buffer(700, 'm')}, {"image.boot", bootstrap_bytes()}});
    REQUIRE(made);
    layer = as_text(made->gzip);
    manifest = nydus("");
    original = image(descriptor(kOciGzipLayerType, "x"), "");
    referrer = nydus(",\"subject\":" + descriptor(kOciManifestType, original));
    stranger = nydus(",\"subject\":" + descriptor(kOciManifestType, "another image"));
  }
  static std::string image(const std::string& layers, const std::string& more) {
    return document(kOciManifestType, fmt::format("\"config\":{},\"layers\":[{}]{}",
                                                  descriptor(kOciConfigType, "{}"), layers, more));
  }
  std::string nydus(const std::string& more) const {
    return image(descriptor(kOciGzipLayerType, layer,
                            ",\"annotations\":{\"containerd.io/snapshot/nydus-bootstrap\":\"true\"}"),
                 more);
  }
};

// A repository: documents under tags and digests, the layer, and what else a test puts there.
struct Served {
  Documents documents;
  std::string layer_sent = documents.layer, manifest_sent = documents.manifest;
  std::map<std::string, std::string> tags = {{"latest", documents.manifest},
                                             {"original", documents.original}};
  std::map<std::string, std::string> others;         // documents that have no tag, by their digest
  std::map<std::string, std::string> referrers_api;  // by the subject's digest
  FakeOrigin origin{[this](const FakeRequest& request) { return answer(request); }};

  void add(const std::string& text) { others[digest_of(text)] = text; }
  FakeReply answer(const FakeRequest& request) {
    std::string last = request.target.substr(request.target.rfind('/') + 1);
    if (request.target.find("/blobs/") != std::string::npos)
      return last == digest_of(documents.layer) ? honest_reply(request, layer_sent)
                                                : FakeReply{http_reply(404, "", "")};
    if (request.target.find("/referrers/") != std::string::npos) return reply(find(referrers_api, last));
    if (last == digest_of(documents.manifest)) return reply(manifest_sent);
    if (last == digest_of(documents.original)) return reply(documents.original);
    std::string text = find(tags, last);
    return reply(text.empty() ? find(others, last) : text);
  }
  static std::string find(const std::map<std::string, std::string>& in, const std::string& key) {
    auto found = in.find(key);
    return found == in.end() ? "" : found->second;
  }
  static FakeReply reply(const std::string& text) {
    if (text.empty()) return {http_reply(404, "", "")};
    bool index = text.find(kOciIndexType) != std::string::npos;
    std::string type = fmt::format("Content-Type: {}\r\n", index ? kOciIndexType : kOciManifestType);
    return {http_reply(200, type, text)};
  }
  size_t asked(const std::string& text) const {
    size_t count = 0;
    for (const FakeRequest& request : origin.requests()) count += request.target.ends_with(text);
    return count;
  }
  Result<NamedImage> open(const std::string& suffix) {
    return open_named_image(fmt::format("docker://127.0.0.1:{}/a/b{}", origin.port(), suffix),
                            quick_options());
  }
  void expect_image(const std::string& suffix) {
    INFO(suffix);
    auto image = open(suffix);
    REQUIRE_MESSAGE(image, image.error().message);
    CHECK((image->bootstrap == bootstrap_bytes()));
    CHECK(image->where == fmt::format("docker://127.0.0.1:{}/a/b", origin.port()));
    CHECK(image->name == image->where + (suffix.empty() ? ":latest" : suffix));
  }
};

}  // namespace

TEST_CASE("named image: from a registry, by tag, by digest, through an index") {
  Served served;
  served.tags["index"] = index_of({descriptor(kOciManifestType, "other", kElsewhere),
                                   descriptor(kOciManifestType, served.documents.original, here()),
                                   descriptor(kOciManifestType, served.documents.manifest, here())});
  served.add(served.tags["index"]);
  served.tags["nested"] = index_of({descriptor(kOciIndexType, served.tags["index"])});
  for (const std::string& suffix :
       {std::string(), std::string(":latest"), "@" + digest_of(served.documents.manifest),
        std::string(":index"), std::string(":nested")})
    served.expect_image(suffix);
}

TEST_CASE("named image: of an index the marked image is taken, without a look at the others") {
  for (const std::string& marks : {here() + kArtifactMark, here(kFeatureMark)}) {
    Served served;
    served.tags["index"] =
        index_of({descriptor(kOciManifestType, served.documents.original, here()),
                  descriptor(kOciManifestType, served.documents.stranger, kElsewhere + kArtifactMark),
                  descriptor(kOciManifestType, served.documents.manifest, marks)});
    served.expect_image(":index");
    CHECK(served.asked(digest_of(served.documents.original)) == 0);
    CHECK(served.origin.requests().size() == 3);  // index, manifest, layer
  }
}

TEST_CASE("named image: the one that refers to the ordinary image, from the API or the tag of old") {
  for (bool api : {true, false}) {
    Served served;
    const Documents& documents = served.documents;
    std::string subject = digest_of(documents.original);
    auto& place = api ? served.referrers_api : served.tags;
    std::string key = api ? subject : "sha256-" + subject.substr(7);
    place[key] =
        index_of({descriptor(kOciManifestType, "x", ",\"artifactType\":\"application/vnd.signature\""),
                  descriptor(kOciManifestType, documents.stranger, kArtifactMark),
                  descriptor(kOciManifestType, documents.referrer, kArtifactMark)});
    served.add(documents.stranger);
    served.add(documents.referrer);
    served.expect_image(":original");
    served.expect_image("@" + subject);
    served.tags["index"] = index_of({descriptor(kOciManifestType, documents.original, here())});
    served.expect_image(":index");
    // What refers to another image is not this one's, and its bytes are those of its digest.
    place[key] = index_of({descriptor(kOciManifestType, documents.stranger)});
    CHECK(served.open(":original").error().code == Code::unsupported);
    place[key] = index_of({descriptor(kOciManifestType, documents.referrer)});
    served.others[digest_of(documents.referrer)] += " ";
    CHECK(served.open(":original").error().code == Code::digest_mismatch);
  }
}

TEST_CASE("named image: an ordinary image is refused with the command that converts it") {
  Served served;
  std::string name = fmt::format("docker://127.0.0.1:{}/a/b:original", served.origin.port());
  auto refused = served.open(":original");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::unsupported);
  CHECK(refused.error().message.find("mkfs.nydus-erofs convert " + name) != std::string::npos);
}

TEST_CASE("named image: what is wrong is named") {
  Served served;
  CHECK(served.open(":absent").error().code == Code::not_found);
  served.tags["elsewhere"] = index_of({descriptor(kOciManifestType, "other", kElsewhere)});
  CHECK(served.open(":elsewhere").error().code == Code::not_found);
  served.layer_sent[served.layer_sent.size() / 2] ^= 1;
  CHECK(served.open(":latest").error().code == Code::digest_mismatch);
  served.layer_sent = served.documents.layer;
  served.tags["index"] = index_of({descriptor(kOciManifestType, served.documents.manifest, here())});
  served.manifest_sent += " ";
  CHECK(served.open("@" + digest_of(served.documents.manifest)).error().code == Code::digest_mismatch);
  CHECK(served.open(":index").error().code == Code::digest_mismatch);
  CHECK(open_named_image("oci-archive:/x.tar").error().code == Code::unsupported);
  CHECK_FALSE(open_named_image("oci:/nowhere"));
}

TEST_CASE("named image: an index within an index, too deep") {
  Served served;
  std::string text = index_of({descriptor(kOciManifestType, served.documents.manifest, here())});
  for (int depth = 0; depth < kMaxIndexDepth; depth++) {
    served.add(text);
    text = index_of({descriptor(kOciIndexType, text)});
  }
  served.tags["deep"] = text;
  CHECK(served.open(":deep").error().code == Code::too_large);
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
