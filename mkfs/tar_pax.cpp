#include "mkfs/tar_pax.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "erofs-format/base/base64.h"
#include "mkfs/tar_limits.h"
#include "mkfs/tar_sparse.h"

namespace mkfs {
namespace {

constexpr std::string_view kSchilyXattr = "SCHILY.xattr.";
constexpr std::string_view kLibarchiveXattr = "LIBARCHIVE.xattr.";
constexpr std::string_view kGnuSparse = "GNU.sparse.";

struct PaxRecord {
  std::string_view key;
  std::string_view value;
  size_t length = 0;
};

Error pax_error(std::string_view why) { return make_error(Code::corrupt, std::string(why)); }

// The record at the start of `rest`.
Result<PaxRecord> split_record(std::string_view rest) {
  size_t space = rest.find(' ');
  if (space == std::string_view::npos || space == 0) return pax_error("no length");
  TRY_ASSIGN(uint64_t length, parse_decimal(rest.substr(0, space), kTarMaxPaxHeader));
  if (length <= space + 1) return pax_error(fmt::format("length is {}", length));
  if (length > rest.size()) {
    return pax_error(fmt::format("length {} passes the end of the header", length));
  }
  if (rest[length - 1] != '\n') return pax_error("does not end with a newline");
  std::string_view body = rest.substr(space + 1, length - space - 2);
  size_t equals = body.find('=');
  if (equals == std::string_view::npos || equals == 0) return pax_error("no key");
  return PaxRecord{body.substr(0, equals), body.substr(equals + 1), static_cast<size_t>(length)};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Replaces each %HH whose byte is one of `coded`, or any if that is empty.
std::string percent_decoded(std::string_view text, std::string_view coded) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    char byte = static_cast<char>(high * 16 + low);
    bool escape = text[i] == '%' && high >= 0 && low >= 0 &&
                  (coded.empty() || coded.find(byte) != std::string_view::npos);
    out += escape ? byte : text[i];
    if (escape) i += 2;
  }
  return out;
}

Result<void> set_xattr(Xattrs& xattrs, std::string name, std::string value) {
  if (name.empty() || name.find('\0') != std::string::npos) return pax_error("xattr has no valid name");
  if (name.size() > kTarMaxXattrName) {
    return make_error(Code::too_large, fmt::format("xattr name of {} bytes", name.size()));
  }
  if (value.size() > kTarMaxXattrValue) {
    return make_error(Code::too_large, fmt::format("xattr value of {} bytes", value.size()));
  }
  xattrs[std::move(name)] = std::move(value);
  return {};
}

template <typename T>
Result<void> set_number(std::optional<T>& field, std::string_view value) {
  field.reset();
  if (value.empty()) return {};
  // Sizes stay below 2^63, so that sums of two never wrap.
  constexpr uint64_t kLimit = std::min<uint64_t>(std::numeric_limits<T>::max(), INT64_MAX);
  TRY_ASSIGN(uint64_t number, parse_decimal(value, kLimit));
  field = static_cast<T>(number);
  return {};
}

Result<void> set_text(std::optional<std::string>& field, std::string_view value) {
  field.reset();
  if (!value.empty()) field = std::string(value);
  return {};
}

Result<void> set_time(std::optional<TarTime>& field, std::string_view value) {
  field.reset();
  if (value.empty()) return {};
  TRY_ASSIGN(field, parse_pax_time(value));
  return {};
}

Result<void> refuse(std::string_view what) { return make_error(Code::unsupported, std::string(what)); }

using Setter = Result<void> (*)(PaxFields&, std::string_view);
struct KeyRule {
  std::string_view key;
  Setter set;
};

// What an entry is made of; every other key is a note that other programs may use.
constexpr std::array kRules = {
    KeyRule{"path", [](PaxFields& f, std::string_view v) { return set_text(f.path, v); }},
    KeyRule{"linkpath", [](PaxFields& f, std::string_view v) { return set_text(f.linkpath, v); }},
    KeyRule{"size", [](PaxFields& f, std::string_view v) { return set_number(f.size, v); }},
    KeyRule{"uid", [](PaxFields& f, std::string_view v) { return set_number(f.uid, v); }},
    KeyRule{"gid", [](PaxFields& f, std::string_view v) { return set_number(f.gid, v); }},
    KeyRule{"mtime", [](PaxFields& f, std::string_view v) { return set_time(f.mtime, v); }},
    KeyRule{"SCHILY.devmajor",
            [](PaxFields& f, std::string_view v) { return set_number(f.device_major, v); }},
    KeyRule{"SCHILY.devminor",
            [](PaxFields& f, std::string_view v) { return set_number(f.device_minor, v); }},
    KeyRule{"SCHILY.acl.access",
            [](PaxFields& f, std::string_view v) -> Result<void> {
              f.acl_access = v;
              return {};
            }},
    KeyRule{"SCHILY.acl.default",
            [](PaxFields& f, std::string_view v) -> Result<void> {
              f.acl_default = v;
              return {};
            }},
    KeyRule{"RHT.security.selinux",
            [](PaxFields& f, std::string_view v) -> Result<void> {
              f.selinux = v;
              return {};
            }},
    KeyRule{"SCHILY.acl.ace", [](PaxFields&, std::string_view) { return refuse("NFSv4 ACLs"); }},
    KeyRule{"SUN.holesdata", [](PaxFields&, std::string_view) { return refuse("Solaris sparse files"); }},
    KeyRule{"GNU.volume.filename",
            [](PaxFields&, std::string_view) { return refuse("multi-volume archives"); }},
};

// GNU tar codes the two characters that would end a key or begin a code.
std::string schily_name(std::string_view name) { return percent_decoded(name, "%="); }

Result<void> set_libarchive_xattr(PaxFields& fields, std::string_view coded, std::string_view value) {
  std::optional<std::string> bytes = base64_decoded(value);
  if (!bytes) return pax_error("value is not base64");
  std::string name = percent_decoded(coded, "");
  if (schily_name(coded) != name) fields.false_xattrs.push_back(schily_name(coded));
  return set_xattr(fields.xattrs, std::move(name), std::move(*bytes));
}

Result<void> apply_record(PaxFields& fields, std::string_view key, std::string_view value) {
  if (key.starts_with(kSchilyXattr)) {
    return set_xattr(fields.xattrs, schily_name(key.substr(kSchilyXattr.size())), std::string(value));
  }
  if (key.starts_with(kLibarchiveXattr)) {
    return set_libarchive_xattr(fields, key.substr(kLibarchiveXattr.size()), value);
  }
  if (key.starts_with(kGnuSparse)) {
    return apply_pax_sparse(fields.sparse, key.substr(kGnuSparse.size()), value);
  }
  auto rule = std::find_if(kRules.begin(), kRules.end(), [&](const KeyRule& r) { return r.key == key; });
  if (rule == kRules.end()) return {};
  return rule->set(fields, value);
}

Result<void> apply_named(PaxFields& fields, std::string_view key, std::string_view value) {
  Result<void> applied = apply_record(fields, key, value);
  if (!applied) return std::move(applied).error().within(printable(key.substr(0, kTarMaxShownPath)));
  return {};
}

bool belongs_to_one_entry(std::string_view key) {
  return key.starts_with(kSchilyXattr) || key.starts_with(kLibarchiveXattr) || key.starts_with(kGnuSparse) ||
         key.starts_with("SCHILY.acl.") || key == "RHT.security.selinux";
}

}  // namespace

Result<void> for_each_pax_record(ByteView header, const PaxRecordHandler& record) {
  std::string_view text = as_text(header);
  for (size_t at = 0; at < text.size();) {
    auto located = [at](Error error) {
      return std::move(error).within(fmt::format("pax record at byte {}", at));
    };
    Result<PaxRecord> split = split_record(text.substr(at));
    if (!split) return located(std::move(split).error());
    Result<void> handled = record(split->key, split->value);
    if (!handled) return located(std::move(handled).error());
    at += split->length;
  }
  return {};
}

Result<void> apply_pax_header(ByteView header, PaxFields& fields) {
  return for_each_pax_record(
      header, [&](std::string_view key, std::string_view value) { return apply_named(fields, key, value); });
}

Result<void> apply_global_pax_header(ByteView header, PaxFields& fields) {
  return for_each_pax_record(header, [&](std::string_view key, std::string_view value) -> Result<void> {
    if (belongs_to_one_entry(key)) {
      return make_error(Code::unsupported,
                        fmt::format("{} in a global header", printable(key.substr(0, kTarMaxShownPath))));
    }
    return apply_named(fields, key, value);
  });
}

}  // namespace mkfs
