#include "erofs-format/registry/credentials.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "erofs-format/base/base64.h"
#include "erofs-format/registry/challenge.h"
#include "erofs-format/registry/credential_files.h"
#include "erofs-format/registry/token.h"

using namespace erofs_format;
using namespace erofs_format::registry;

namespace {

AuthFile parse(std::string_view text) {
  Result<AuthFile> file = parse_auth_file(as_bytes(text), "config.json");
  REQUIRE_MESSAGE(file, file.error().message);
  return *file;
}

std::string refused(std::string_view text) {
  Result<AuthFile> file = parse_auth_file(as_bytes(text), "config.json");
  return file ? "" : file.error().message;
}

std::string user_for(const AuthFile& file, const std::string& host, const std::string& repository) {
  CredentialChoice choice = choose_credential(file, host, repository);
  return choice.helper.empty() ? choice.credential.user : "helper " + choice.helper;
}

// {"auth": base64 of USER:x}
std::string entry(const std::string& key, const std::string& user) {
  return "\"" + key + "\": {\"auth\": \"" + base64_encoded(user + ":x") + "\"}";
}

}  // namespace

TEST_CASE("base64: the vectors of RFC 4648, and what is none") {
  const char* pairs[][2] = {{"", ""},
                            {"f", "Zg=="},
                            {"fo", "Zm8="},
                            {"foo", "Zm9v"},
                            {"foob", "Zm9vYg=="},
                            {"fooba", "Zm9vYmE="},
                            {"foobar", "Zm9vYmFy"}};
  for (auto& [plain, coded] : pairs) {
    CHECK(base64_encoded(plain) == coded);
    CHECK(base64_decoded(coded) == plain);
  }
  for (const char* bad : {"Z", "Zm9vY", "Zm 9v", "Zm9v\n", "Zm-_"}) CHECK_FALSE(base64_decoded(bad));
}

TEST_CASE("credentials: which entry serves a repository") {
  AuthFile file =
      parse("{\"auths\": {" + entry("r.example", "host") + "," + entry("r.example/team", "team") + "," +
            entry("r.example/team/app", "app") + "," + entry("https://old.example/v1/", "old") + "," +
            entry("https://index.docker.io/v1/", "hub") + "," + entry("h:5000", "port") + "}}");
  CHECK(user_for(file, "r.example", "other/app") == "host");
  CHECK(user_for(file, "r.example", "team/other") == "team");
  CHECK(user_for(file, "r.example", "team/app") == "app");
  CHECK(user_for(file, "r.example", "team/app/more") == "app");
  CHECK(user_for(file, "r.example", "teamwork") == "host");
  CHECK(user_for(file, "old.example", "a") == "old");
  CHECK(user_for(file, "docker.io", "library/debian") == "hub");
  CHECK(user_for(file, "h:5000", "a") == "port");
  for (const char* stranger : {"h", "h:5001", "example", "r.example.evil", "x.r.example", "r.example:443"})
    CHECK(user_for(file, stranger, "team/app").empty());
}

TEST_CASE("credentials: helpers") {
  AuthFile file =
      parse("{\"credHelpers\": {\"r.example\": \"pass\"}, \"credsStore\": \"desktop\", \"auths\": {" +
            entry("r.example", "user") + "," + entry("q.example", "other") + ", \"p.example\": {}}}");
  CHECK(user_for(file, "r.example", "a") == "helper pass");
  CHECK(user_for(file, "q.example", "a") == "other");
  CHECK(user_for(file, "p.example", "a") == "helper desktop");
  CHECK(helper_server("docker.io") == "https://index.docker.io/v1/");
  CHECK(helper_server("r.example:5000") == "r.example:5000");
  auto pair = parse_helper_answer(R"({"ServerURL":"x","Username":"u","Secret":"s"})", "helper");
  REQUIRE(pair);
  CHECK(pair->basic() == "Basic " + base64_encoded("u:s"));
  auto token = parse_helper_answer(R"({"Username":"<token>","Secret":"t"})", "helper");
  REQUIRE(token);
  CHECK(token->identity_token == "t");
  CHECK_FALSE(token->has_password());
  CHECK_FALSE(parse_helper_answer("credentials not found", "helper"));
}

TEST_CASE("credentials: what is wrong is named, without its value") {
  for (const char* text :
       {"", "[]", R"({"auths": 1})", R"({"auths": {"h": 1}})", R"({"auths": {"h": {"auth": "!!canary"}}})",
        R"({"auths": {"h": {"auth": "Y2FuYXJ5"}}})", R"({"auths": {"h": {"auth": "OmNhbmFyeQ=="}}})",
        R"({"auths": {"h": {"identitytoken": "canary\r\nX: y"}}})", R"({"credsStore": "../canary"})",
        R"({"credHelpers": {"h": "a b"}})"}) {
    INFO(std::string(text));
    std::string message = refused(text);
    CHECK(message.starts_with("config.json"));
    CHECK(message.find("canary") == std::string::npos);
  }
  CHECK(parse(R"({"unknown": [1], "auths": {"h": {"auth": "", "email": "x"}}})").auths.empty());
}

TEST_CASE("credentials: which challenge is met") {
  std::vector<std::string> values = {"Basic realm=\"x\", Bearer realm=\"https://a/\""};
  CHECK(choose_challenge(values, true)->scheme == "bearer");
  values = {"Basic realm=\"x\""};
  CHECK(choose_challenge(values, true)->scheme == "basic");
  CHECK(choose_challenge(values, false).error().code == Code::auth);
}

TEST_CASE("credentials: the form of an identity token") {
  Challenge challenge{"bearer",
                      {{"realm", "https://a/"}, {"service", "s&x"}, {"scope", "repository:a/b:pull"}}};
  CHECK(token_form(challenge, "t+/=") ==
        "grant_type=refresh_token&client_id=nydus-erofs&service=s%26x&scope=repository%3Aa%2Fb%3Apull&"
        "refresh_token=t%2B%2F%3D");
}

TEST_CASE("credentials: the file that is named must be there, and a helper is not run for the daemon") {
  std::string path = std::filesystem::temp_directory_path() / ("auth." + std::to_string(getpid()));
  CHECK(find_credential(path, "h", "a").error().code == Code::not_found);
  std::ofstream(path)
      << R"({"credHelpers": {"h": "nobody-has-this"}, "auths": {"g": {"username": "u", "password": "p"}}})";
  CHECK(read_credential(path, "g", "a")->password == "p");
  CHECK(read_credential(path, "h", "a").error().code == Code::unsupported);
  CHECK(find_credential(path, "h", "a")
            .error()
            .message.starts_with("credentials of h: docker-credential-nobody-has-this: "));
  CHECK(find_credential(path, "other", "a")->empty());
  std::filesystem::remove(path);
}
