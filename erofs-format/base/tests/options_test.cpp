#include "erofs-format/base/options.h"

#include <doctest/doctest.h>

using namespace erofs_format;

namespace {

constexpr Option kOptions[] = {
    {"type", 't', "TYPE", "kind of source", "source-type"},
    {"quiet", 'q', "", "say nothing"},
};

Result<Arguments> parse(std::vector<std::string> words) { return parse_arguments(kOptions, words); }

}  // namespace

TEST_CASE("options are understood in every spelling") {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--type", "tar"}, {"--type=tar"}, {"-t", "tar"}, {"-ttar"}, {"--source-type", "tar"}}) {
    auto arguments = parse(words);
    REQUIRE(arguments);
    CHECK(arguments->value("type") == "tar");
    CHECK(arguments->positional().empty());
  }
}

TEST_CASE("operands and options mix until --") {
  auto arguments = parse({"a", "-q", "-", "--", "--type", "-q"});
  REQUIRE(arguments);
  CHECK(arguments->has("quiet"));
  CHECK_FALSE(arguments->has("type"));
  CHECK(arguments->positional() == std::vector<std::string>{"a", "-", "--type", "-q"});
}

TEST_CASE("the last value counts, all are kept") {
  auto arguments = parse({"--type=a", "--type", "b"});
  REQUIRE(arguments);
  CHECK(arguments->value("type") == "b");
  CHECK(arguments->values("type") == std::vector<std::string>{"a", "b"});
  CHECK(arguments->value_or("quiet", "none") == "none");
}

TEST_CASE("wrong usage has exit status 2 and names the word") {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--typ", "x"}, {"-x"}, {"--type"}, {"-t"}, {"--quiet=yes"}, {"-qq"}}) {
    auto arguments = parse(words);
    REQUIRE_FALSE(arguments);
    CHECK(arguments.error().exit_code == 2);
    CHECK(arguments.error().message.find(words[0]) != std::string::npos);
  }
}

TEST_CASE("sizes") {
  CHECK(*parse_size("4096", "x") == 4096);
  CHECK(*parse_size("0x1000", "x") == 4096);
  CHECK(*parse_size("4K", "x") == 4096);
  CHECK(*parse_size("2G", "x") == uint64_t{2} << 30);
  for (const char* text : {"", "K", "4X", "4KK", "-1", "18446744073709551615K", "0x", "4 K"})
    CHECK_FALSE(parse_size(text, "x"));
}

TEST_CASE("numbers") {
  CHECK(*parse_number("7", 7, "x") == 7);
  for (const char* text : {"8", "", "7x", "-1", "+7"}) CHECK_FALSE(parse_number(text, 7, "x"));
}

TEST_CASE("help names every option") {
  Command command{"make", "SOURCE", "Makes it.", kOptions, nullptr};
  std::string help = help_text("program", command);
  CHECK(help.find("Usage: program make SOURCE") == 0);
  CHECK(help.find("-t, --type TYPE") != std::string::npos);
  CHECK(help.find("--quiet") != std::string::npos);
}
