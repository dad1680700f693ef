// The commands that talk to a running daemon.
#include <fmt/format.h>

#include "fscached/control/client.h"
#include "fscached/control/commands.h"

namespace fscached {

namespace {

constexpr Option kPruneOptions[] = {
    {"keep", 0, "SIZE", "at most so much of it stays, what was used last (0)"},
    kSocketOption,
    kRootOption,
    kJsonOption,
    kQuietOption,
};

Result<void> run_list(const Arguments& arguments) {
  TRY_ASSIGN(json result, call(socket_of(arguments), {{"command", "list"}}));
  if (arguments.has("json")) return print_json(result["images"]);
  std::string text;
  for (const json& image : result["images"])
    text += fmt::format("{}\t{}\t{} of {}\t{}\t{}\n", image.value("mountpoint", ""), image.value("state", ""),
                        megabytes(image.value("present_bytes", uint64_t{0})),
                        megabytes(image.value("chunk_bytes", uint64_t{0})), image.value("image", ""),
                        image.value("blobs", ""));
  return print(text);
}

// "name: value" lines, groups with a dot.
void flatten(const json& value, const std::string& prefix, std::string& text) {
  for (const auto& [key, inner] : value.items()) {
    if (inner.is_object())
      flatten(inner, prefix + key + ".", text);
    else
      text +=
          fmt::format("{}{}: {}\n", prefix, key, inner.is_string() ? inner.get<std::string>() : inner.dump());
  }
}

Result<void> run_show(const Arguments& arguments, const char* command) {
  if (!arguments.positional().empty()) return usage_error(fmt::format("{}: takes no operands", command));
  TRY_ASSIGN(json result, call(socket_of(arguments), {{"command", command}}));
  if (arguments.has("json")) return print_json(result);
  std::string text;
  flatten(result, "", text);
  return print(text);
}

Result<void> run_status(const Arguments& arguments) { return run_show(arguments, "status"); }
Result<void> run_stats(const Arguments& arguments) { return run_show(arguments, "stats"); }

Result<void> run_fetch(const Arguments& arguments) {
  if (arguments.positional().size() != 1)
    return usage_error("fetch: wanted is one IMAGE, MOUNTPOINT or bootstrap FILE");
  TRY_ASSIGN(std::string image, image_name(arguments.positional()[0]));
  TRY_ASSIGN(json result, call_with_progress(arguments, {{"command", "fetch"}, {"image", image}}));
  return arguments.has("json") ? print_json(result) : Result<void>();
}

Result<void> run_scrub(const Arguments& arguments) {
  if (!arguments.positional().empty()) return usage_error("scrub: takes no operands");
  TRY_ASSIGN(json result, call_with_progress(arguments, {{"command", "scrub"}}));
  auto number = [&](const char* name) { return result.value(name, uint64_t{0}); };
  if (arguments.has("json")) {
    TRY(print_json(result));
  } else {
    TRY(print(fmt::format("{} chunks of {} blobs verified, {}: {} repaired, {} lost\n", number("chunks"),
                          number("blobs"), megabytes(number("bytes")), number("repaired"), number("lost"))));
    if (number("unused_blobs") > 0)
      TRY(print(fmt::format("{} blobs are not in use: verified when they are\n", number("unused_blobs"))));
  }
  if (number("lost") == 0) return {};
  return make_error(Code::io, fmt::format("{} chunks were wrong and could not be fetched again: {}",
                                          number("lost"), result.value("problem", "")));
}

Result<void> run_remove(const Arguments& arguments) {
  if (arguments.positional().size() != 1) return usage_error("remove: wanted is one IMAGE");
  std::string word = arguments.positional()[0];
  auto name = image_name(word);
  TRY_ASSIGN(json result, call(socket_of(arguments),
                               {{"command", "remove"}, {"image", name ? *name : word}, {"fsid", word}}));
  return arguments.has("json") ? print_json(result) : Result<void>();
}

Result<void> run_prune(const Arguments& arguments) {
  if (!arguments.positional().empty()) return usage_error("prune: takes no operands");
  json request = {{"command", "prune"}};
  if (auto keep = arguments.value("keep")) {
    TRY_ASSIGN(request["keep_bytes"], parse_size(*keep, "--keep"));
  }
  TRY_ASSIGN(json result, call(socket_of(arguments), request));
  if (arguments.has("json")) return print_json(result);
  return print(megabytes(result.value("freed_bytes", uint64_t{0})) + " freed\n");
}

}  // namespace

const Command kListCommand = {"list", "[OPTIONS]", "List the mounted images.", kCommonOptions, run_list};
const Command kStatusCommand = {"status", "[OPTIONS]", "Show the state of the daemon.", kCommonOptions,
                                run_status};
const Command kStatsCommand = {"stats", "[OPTIONS]", "Show its counters.", kCommonOptions, run_stats};
const Command kFetchCommand = {"fetch", "[OPTIONS] IMAGE|MOUNTPOINT|BOOTSTRAP",
                               "Make an image complete and local now.", kCommonOptions, run_fetch};
const Command kScrubCommand = {"scrub", "[OPTIONS]",
                               "Verify everything in the cache; fetch again what is wrong.", kCommonOptions,
                               run_scrub};
const Command kRemoveCommand = {"remove", "[OPTIONS] IMAGE|FSID",
                                "Forget an image that was added, and what only it has in the cache.",
                                kCommonOptions, run_remove};
const Command kPruneCommand = {"prune", "[OPTIONS]", "Drop from the cache what no image uses.", kPruneOptions,
                               run_prune};

}  // namespace fscached
