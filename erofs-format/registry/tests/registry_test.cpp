#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "erofs-format/registry/challenge.h"
#include "erofs-format/registry/reach.h"
#include "erofs-format/registry/redirect.h"
#include "erofs-format/registry/repository.h"
#include "erofs-format/registry/token.h"
#include "erofs-format/registry/url.h"

using namespace erofs_format;
using namespace erofs_format::registry;

namespace {

Url url(std::string_view text) {
  Result<Url> parsed = parse_url(text);
  REQUIRE_MESSAGE(parsed, text);
  return *parsed;
}

std::string target(std::string_view from, Reach reach, std::string_view location) {
  Result<Url> to = redirect_target(url(from), reach, location);
  return to ? to->text : "refused";
}

}  // namespace

TEST_CASE("url: parts, defaults and origin") {
  CHECK(url("https://Host.Example/a?b=c").origin() == "https://host.example:443");
  CHECK(url("http://host:8080/").port == 8080);
  CHECK(url("http://[::1]:5000/x").host == "::1");
  CHECK(url("http://[::1]:5000/x").origin() == "http://[::1]:5000");
  CHECK(url("https://h/x?signature=secret").public_text() == "https://h/x");
  CHECK(url("https://h/x#part").text == "https://h/x");
  CHECK(url("http://0x7f.1/").host == "127.0.0.1");  // as the transport will read it
}

TEST_CASE("url: refused ones") {
  for (const char* text : {"", "file:///etc/passwd", "ftp://host/x", "gopher://host/", "http://",
                           "http://user@host/", "http://user:pw@host/", "http://host:0/",
                           "http://host:70000/", "http://ho st/", "http://host/\r\nX: y", "host/path",
                           "//host/x", "javascript:1", "https:/%85", "http://a%20b/", "http://h\x80/"}) {
    INFO(std::string(text));
    CHECK_FALSE(parse_url(text));
  }
  CHECK_FALSE(parse_url(std::string("http://h/") + std::string(kMaxUrlBytes, 'a')));
}

TEST_CASE("url: joining and queries") {
  CHECK(join_url(url("http://h/dir"), "name")->text == "http://h/dir/name");
  CHECK(join_url(url("http://h/dir/"), "name")->text == "http://h/dir/name");
  CHECK(join_url(url("http://h"), "name")->text == "http://h/name");
  CHECK(join_url(url("http://h/dir/?key=1"), "name")->text == "http://h/dir/name?key=1");
  CHECK(add_query(url("http://h/t?a=1"), "scope", "r:x/y:pull&z")->text ==
        "http://h/t?a=1&scope=r%3ax%2fy%3apull%26z");
}

TEST_CASE("reach: addresses in every spelling") {
  for (const char* host :
       {"127.0.0.1", "127.255.1.2", "0.0.0.0", "0.1.2.3", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "localhost", "x.localhost", "localhost."}) {
    INFO(std::string(host));
    CHECK(reach_of(host) == Reach::loopback);
  }
  for (const char* host : {"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1",
                           "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "ff02::1",
                           "224.0.0.1", "255.255.255.255", "fd00:ec2::254"}) {
    INFO(std::string(host));
    CHECK(reach_of(host) == Reach::link_local);
  }
  for (const char* host : {"10.0.0.1", "192.168.1.1", "169.253.0.1", "128.0.0.1", "2001:db8::1", "fd00::1"}) {
    INFO(std::string(host));
    CHECK(reach_of(host) == Reach::network);
  }
  CHECK(reach_of("registry.example") == std::nullopt);
  CHECK(reach_of("127.0.0.1.example") == std::nullopt);
}

TEST_CASE("redirect: followed") {
  CHECK(target("https://r.example/v2/a/blobs/x", Reach::network, "https://store.example/x?s=1") ==
        "https://store.example/x?s=1");
  CHECK(target("https://r.example/v2/a/", Reach::network, "/other") == "https://r.example/other");
  CHECK(target("https://r.example/v2/a/b", Reach::network, "c?d") == "https://r.example/v2/a/c?d");
  CHECK(target("http://r.example/", Reach::network, "https://r.example/") == "https://r.example/");
  CHECK(target("http://r.example/", Reach::network, "http://10.1.2.3/x") == "http://10.1.2.3/x");
  CHECK(target("http://127.0.0.1:1/", Reach::loopback, "http://127.0.0.1:2/x") == "http://127.0.0.1:2/x");
  CHECK(target("http://127.0.0.1:1/", Reach::loopback, "https://store.example/") == "https://store.example/");
  for (int status : {301, 302, 303, 307, 308}) CHECK(is_redirect(status));
  for (int status : {200, 206, 300, 304, 305, 306, 309, 400}) CHECK_FALSE(is_redirect(status));
}

TEST_CASE("redirect: refused") {
  for (const char* location : {"",
                               "file:///etc/passwd",
                               "ftp://store.example/x",
                               "gopher://store.example/",
                               "dict://x/",
                               "http://store.example/x",
                               "https://127.0.0.1/x",
                               "https://localhost/x",
                               "https://[::1]/x",
                               "https://2130706433/x",
                               "https://0x7f000001/x",
                               "https://0177.0.0.1/x",
                               "https://127.1/x",
                               "https://[::ffff:127.0.0.1]/x",
                               "https://169.254.169.254/latest/meta-data",
                               "https://[fe80::1]/",
                               "https://[::ffff:a9fe:a9fe]/",
                               "https://0.0.0.0/",
                               "https://user:pw@store.example/",
                               "//127.0.0.1/x",
                               "\\\\127.0.0.1/x y"}) {
    INFO(std::string(location));
    CHECK(target("https://r.example/v2/", Reach::network, location) == "refused");
  }
  CHECK(target("http://127.0.0.1/", Reach::loopback, "http://169.254.169.254/") == "refused");
  CHECK(target("http://169.254.1.1/", Reach::link_local, "http://127.0.0.1/") == "refused");
}

TEST_CASE("redirect: a message shows no query") {
  Result<Url> to =
      redirect_target(url("https://r.example/x?signature=canary"), Reach::network, "ftp://x/?canary");
  REQUIRE_FALSE(to);
  CHECK(to.error().message.find("canary") == std::string::npos);
}

TEST_CASE("challenge: as registries send them") {
  auto one = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull")");
  REQUIRE(one);
  REQUIRE(one->size() == 1);
  CHECK(one->front().scheme == "bearer");
  CHECK(one->front().parameter("realm") == "https://auth.example/token");
  CHECK(one->front().parameter("scope") == "repository:a/b:pull");
  CHECK(one->front().parameter("absent").empty());

  auto several = parse_challenges("Basic realm=\"x\\\"y\" , Negotiate, bearer REALM = tok , error=\"a,b\"");
  REQUIRE(several);
  REQUIRE(several->size() == 3);
  CHECK((*several)[0].parameter("realm") == "x\"y");
  CHECK((*several)[1].scheme == "negotiate");
  CHECK((*several)[2].parameter("realm") == "tok");
  CHECK((*several)[2].parameter("error") == "a,b");
}

TEST_CASE("challenge: only the exact form passes") {
  for (const char* text :
       {"", " ", ",", "Bearer,", "Bearer realm", "Bearer realm=", "Bearer realm=\"x", "Bearer realm=\"x\\",
        "realm=\"x\"", "Bearer realm=\"x\" service=\"y\"", "Bearer realm=\"x\",realm=\"y\"", "Bearer =\"x\"",
        "Bearer realm=\"x\n\"", "Bearer\trealm=\"a\"b", "B(arer", "Bearer realm=\"x\";service=\"y\""}) {
    INFO(std::string(text));
    CHECK_FALSE(parse_challenges(text));
  }
  std::string many = "Bearer a0=1";
  for (size_t i = 1; i <= kMaxChallengeParameters; i++) many += ",a" + std::to_string(i) + "=1";
  CHECK_FALSE(parse_challenges(many));
}

TEST_CASE("challenge: what is asked instead is named") {
  std::vector<std::string> values = {"Basic realm=\"x\"", "Negotiate"};
  auto challenge = choose_challenge(values, false);
  REQUIRE_FALSE(challenge);
  CHECK(challenge.error().code == Code::auth);
  CHECK(challenge.error().message.find("basic, negotiate") != std::string::npos);
  values.push_back("Bearer realm=\"https://a/\"");
  CHECK(choose_challenge(values, false));
}

TEST_CASE("token: the URL asked") {
  Challenge challenge{"bearer",
                      {{"realm", "https://auth.example/token?x=1"},
                       {"service", "r example"},
                       {"scope", "repository:a:pull  repository:b:pull"}}};
  auto asked = token_url(url("https://r.example/v2/"), Reach::network, challenge);
  REQUIRE(asked);
  CHECK(asked->text ==
        "https://auth.example/"
        "token?x=1&service=r+example&scope=repository%3aa%3apull&scope=repository%3ab%3apull");
  challenge.parameters[0].value = "http://auth.example/token";
  CHECK_FALSE(token_url(url("https://r.example/v2/"), Reach::network, challenge));
  challenge.parameters[0].value = "https://169.254.169.254/token";
  CHECK_FALSE(token_url(url("https://r.example/v2/"), Reach::network, challenge));
}

TEST_CASE("token: answers") {
  CHECK(parse_token(R"({"token":"abc"})")->text == "abc");
  CHECK(parse_token(R"({"token":"abc"})")->seconds == kDefaultTokenSeconds);
  CHECK(parse_token(R"({"access_token":"x.y-z","expires_in":300,"issued_at":"2020"})")->seconds == 300);
  CHECK(parse_token(R"({"token":"","access_token":"b"})")->text == "b");
  CHECK(parse_token(R"({"token":"a","expires_in":0})")->seconds == kDefaultTokenSeconds);
  CHECK(parse_token(R"({"token":"a","expires_in":99999999999})")->seconds == kMaxTokenSeconds);
  for (const char* text :
       {"", "null", "[]", "\"abc\"", "{", "{}", R"({"token":1})", R"({"token":""})",
        R"({"token":"a\r\nX: y"})", R"({"token":"a b"})", R"({"token":"a","expires_in":-1})",
        R"({"token":"a","expires_in":"x"})", R"({"token":"a\u0000"})", "{\"token\":\"\xff\"}"}) {
    INFO(std::string(text));
    CHECK_FALSE(parse_token(text));
  }
  CHECK_FALSE(parse_token(R"({"token":")" + std::string(kMaxTokenTextBytes + 1, 'a') + "\"}"));
}

TEST_CASE("token: the cache ends it early") {
  TokenCache cache;
  CHECK(cache.authorization().empty());
  CHECK_FALSE(cache.expired(1'000'000));
  cache.store({"abc", 100}, 5'000);
  CHECK(cache.authorization() == "Bearer abc");
  CHECK_FALSE(cache.expired(5'000 + 89'999));
  CHECK(cache.expired(5'000 + 90'000));
  cache.forget();
  CHECK(cache.authorization().empty());
}

TEST_CASE("repository: references to URLs") {
  auto base = [](std::string_view where, PlainHttp plain = PlainHttp::loopback_only) {
    auto repository = parse_repository(where, plain);
    return repository ? repository->base.text : "refused";
  };
  CHECK(base("docker://r.example/a/b") == "https://r.example/v2/a/b/");
  CHECK(base("r.example:5000/a") == "https://r.example:5000/v2/a/");
  CHECK(base("docker://docker.io/debian") == "https://registry-1.docker.io/v2/library/debian/");
  CHECK(base("docker://docker.io/me/x") == "https://registry-1.docker.io/v2/me/x/");
  for (const char* host : {"localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"}) {
    INFO(std::string(host));
    CHECK(base(std::string(host) + "/a") == "http://" + std::string(host) + "/v2/a/");
  }
  CHECK(base("r.example/a", PlainHttp::allowed) == "http://r.example/v2/a/");
  CHECK(base("r.example/a--b__c.d/e0") == "https://r.example/v2/a--b__c.d/e0/");
  for (const char* where : {"docker://", "docker://r.example", "docker://r.example/", "/a", "r.example/A",
                            "r.example/a//b", "r.example/../x", "r.example/a/..", "r.example/a..b",
                            "r.example/-a", "r.example/a_", "r.example/a___b", "user@r.example/a",
                            "r.example:0/a", "r.example:99999/a", "r.example/a?b", "r.example/a:tag"}) {
    INFO(std::string(where));
    CHECK(base(where) == "refused");
  }
  CHECK_FALSE(parse_repository("r.example/" + std::string(256, 'a'), PlainHttp::allowed));
}

TEST_CASE("repository: references") {
  for (const std::string& good : {std::string("latest"), std::string("V1.0-x_y"), std::string("_"),
                                  std::string(kMaxTag, 'a'), "sha256:" + std::string(64, 'b')}) {
    INFO(good);
    CHECK(check_reference(good));
  }
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("-a"), std::string("a/b"),
        std::string("a?b"), std::string("a%2fb"), std::string(kMaxTag + 1, 'a'),
        "sha256:" + std::string(63, 'b'), "sha256:" + std::string(64, 'B'), "md5:" + std::string(64, 'b')}) {
    INFO(bad);
    CHECK_FALSE(check_reference(bad));
  }
}
