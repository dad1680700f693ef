// `doctor`: which mechanisms this host offers, by trying each step, and why not the others.
#include <fmt/format.h>

#include <functional>

#include "fscached/control/cachefiles_probe.h"
#include "fscached/control/client.h"
#include "fscached/control/commands.h"
#include "fscached/control/config.h"
#include "fscached/keeper/probe.h"

namespace fscached {

namespace {

constexpr Option kDoctorOptions[] = {
    {"root", 0, "DIR", "where the cache is or would be (/var/lib/fscached)"},
    kSocketOption,
    kJsonOption,
};

struct Step {
  const char* what;
  std::function<Result<void>()> probe;
};

template <typename T>
Result<void> only_whether(Result<T> result) {
  return result ? Result<void>() : Result<void>(std::move(result).error());
}

// Later steps need the earlier ones, or would fail for the same reason in words that mislead: the first that
// fails is the reason.
json examine(const char* name, const std::vector<Step>& steps) {
  json report = {{"name", name}, {"available", true}, {"steps", json::array()}};
  for (const Step& step : steps) {
    auto result = step.probe();
    report["steps"].push_back({{"what", step.what}, {"ok", bool(result)}});
    if (result) continue;
    report["steps"].back()["why"] = result.error().message;
    report["available"] = false;
    break;
  }
  return report;
}

// `served`: the daemon that answers has the device, and proves the rest.
json examine_cachefiles(const std::string& root, bool served) {
  if (served)
    return examine("cachefiles", {{"the daemon that answers has the device", [] { return Result<void>(); }}});
  json report = examine(
      "cachefiles", {
                        {"EROFS mounts by fsid", [] { return keeper::probe_fsid_option(); }},
                        {"the device opens", [] { return only_whether(keeper::open_cachefiles_device()); }},
                        {"a cache can be bound below the root, and survives its worker",
                         [&root] { return probe_cachefiles_cache(root); }},
                    });
  std::string defect = known_cachefiles_defect();
  if (!defect.empty()) report["warning"] = defect;
  return report;
}

json examine_fanotify(const std::string& root) {
  return examine(
      "fanotify",
      {
          {"permission events", [] { return only_whether(keeper::open_fanotify_group()); }},
          {"files below the root can be marked", [&root] { return keeper::probe_pre_content_mark(root); }},
          {"EROFS mounts files", [&root] { return keeper::probe_erofs_from_file(root); }},
      });
}

std::string as_text(const json& report) {
  std::string text = fmt::format("{}: {}\n", report["name"].get<std::string>(),
                                 report["available"].get<bool>() ? "yes" : "no");
  for (const json& step : report["steps"])
    text +=
        fmt::format("  {} {}{}\n", step["ok"].get<bool>() ? "ok " : "not", step["what"].get<std::string>(),
                    step.contains("why") ? ": " + step["why"].get<std::string>() : "");
  if (report.contains("warning"))
    text += fmt::format("  warning: {}\n", report["warning"].get<std::string>());
  return text;
}

// The nearest folder that exists: what is below it would be on the same file system.
std::string existing_folder(std::string path) {
  while (path.size() > 1 && access(path.c_str(), F_OK) != 0) path = os::parent_directory(path);
  return path;
}

Result<void> run_doctor(const Arguments& arguments) {
  if (!arguments.positional().empty()) return usage_error("doctor: takes no operands");
  std::string root = existing_folder(arguments.value_or("root", kDefaultRoot));
  auto status = call(socket_of(arguments), {{"command", "status"}});
  bool served = status && (*status)["backend"] == "cachefiles";
  json reports = {examine_cachefiles(root, served), examine_fanotify(root)};
  json result = {{"root", root}, {"mechanisms", reports}, {"auto", nullptr}};
  for (const json& report : reports)
    if (result["auto"].is_null() && report["available"].get<bool>()) result["auto"] = report["name"];
  if (status) result["daemon"] = (*status)["backend"];
  if (arguments.has("json")) {
    TRY(print_json(result));
  } else {
    std::string text;
    for (const json& report : reports) text += as_text(report);
    text += fmt::format("auto: {}\n", result["auto"].is_null() ? "none" : result["auto"].get<std::string>());
    if (status) text += fmt::format("a daemon serves by: {}\n", result["daemon"].get<std::string>());
    TRY(print(text));
  }
  if (result["auto"].is_null() && !status)
    return make_error(Code::unsupported, "doctor: no mechanism works here");
  return {};
}

}  // namespace

const Command kDoctorCommand = {"doctor", "[OPTIONS]",
                                "Say which mechanisms of the kernel work here, and why not the others.",
                                kDoctorOptions, run_doctor};

}  // namespace fscached
