// The requests of an upload, without a socket: what each answer leads to.
#include <doctest/doctest.h>

#include <string>

#include "erofs-format/registry/requests.h"
#include "erofs-format/registry/upload.h"

using namespace erofs_format;
using namespace erofs_format::registry;

namespace {

const Repository kRepository = *parse_repository("registry.example/a/b", PlainHttp::loopback_only);
const Digest kDigest = sha256(as_bytes("blob"));
const std::string kDigestText = "sha256:" + to_hex(kDigest);
const std::string kOpenUrl = "https://registry.example/v2/a/b/blobs/uploads/";

ResponseHead answer(int status, std::string location = "") {
  ResponseHead head;
  head.status = status;
  head.location = std::move(location);
  return head;
}

Upload opened() {
  Upload upload(kRepository, kDigest);
  REQUIRE(upload.refused(make_error(Code::not_found, "404")));
  return upload;
}

// Where the blob is sent when the server opens the upload at `location`; "refused" when it must not be.
std::string sent_to(const std::string& location) {
  Upload upload = opened();
  if (!upload.accepted(answer(202, location), *parse_url(kOpenUrl), Reach::network)) return "refused";
  CHECK(upload.step() == Upload::Step::send);
  CHECK(upload.method() == Method::put);
  return upload.url()->text;
}

}  // namespace

TEST_CASE("upload: a blob that is there is not sent") {
  Upload upload(kRepository, kDigest);
  CHECK(upload.method() == Method::head);
  CHECK(upload.url()->text == "https://registry.example/v2/a/b/blobs/" + kDigestText);
  REQUIRE(upload.accepted(answer(200), *upload.url(), Reach::network));
  CHECK(upload.step() == Upload::Step::done);
  CHECK(upload.was_there());
}

TEST_CASE("upload: opened, sent, done") {
  Upload upload = opened();
  CHECK(upload.method() == Method::post);
  CHECK(upload.url()->text == kOpenUrl);
  REQUIRE(upload.accepted(answer(202, "/v2/a/b/blobs/uploads/1"), *upload.url(), Reach::network));
  REQUIRE(upload.accepted(answer(201), *upload.url(), Reach::network));
  CHECK(upload.step() == Upload::Step::done);
  CHECK_FALSE(upload.was_there());
}

TEST_CASE("upload: the server's Location, in every form") {
  std::string query = "digest=sha256%3a" + to_hex(kDigest);
  CHECK(sent_to("/u/1") == "https://registry.example/u/1?" + query);
  CHECK(sent_to("1?_state=a%2Bb%3D") == kOpenUrl + "1?_state=a%2Bb%3D&" + query);
  CHECK(sent_to("https://store.example/u?x=1&y") == "https://store.example/u?x=1&y&" + query);
  CHECK(sent_to("//other.example/u") == "https://other.example/u?" + query);
  for (const char* bad : {"", "http://registry.example/u", "https://127.0.0.1/u", "https://169.254.169.254/",
                          "file:///u", "https://user:pw@registry.example/u", "ht tp:"}) {
    INFO(std::string(bad));
    CHECK(sent_to(bad) == "refused");
  }
}

TEST_CASE("upload: a server without HEAD is no obstacle, one that refuses us is") {
  Upload upload(kRepository, kDigest);
  REQUIRE(upload.refused(make_error(Code::network, "the server answered 405")));
  CHECK(upload.step() == Upload::Step::open);
  CHECK(upload.refused(make_error(Code::network, "the server answered 500")).error().code == Code::network);
  CHECK(Upload(kRepository, kDigest).refused(make_error(Code::auth, "401")).error().code == Code::auth);
}

TEST_CASE("upload: after a failed send from the start, and what arrived in spite of it counts") {
  Upload upload = opened();
  REQUIRE(upload.accepted(answer(202, "/u/1"), *upload.url(), Reach::network));
  upload.again();
  CHECK(upload.method() == Method::head);
  REQUIRE(upload.accepted(answer(200), *upload.url(), Reach::network));
  CHECK(upload.step() == Upload::Step::done);
}

TEST_CASE("upload: a blob of another repository of the registry") {
  CHECK(mount_url(kRepository.base, kDigest, "c/d&e")->text ==
        kOpenUrl + "?mount=sha256%3a" + to_hex(kDigest) + "&from=c%2fd%26e");
}

TEST_CASE("tags: those of the list that are tags") {
  auto tags = [](std::string_view json) { return parse_tags(as_bytes(json), "list"); };
  CHECK(*tags(R"({"name":"a/b","tags":["v1","../x","v2"]})") == std::vector<std::string>{"v1", "v2"});
  CHECK(tags(R"({"name":"a/b","tags":null})")->empty());
  for (const char* bad : {R"({"tags":[1]})", R"({"tags":{}})", "[]", ""}) CHECK_FALSE(tags(bad));
}
