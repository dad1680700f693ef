#include "erofs-format/registry/response_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "erofs-format/registry/limits.h"

namespace erofs_format::registry {
namespace {

Error bad(std::string_view what) { return make_error(Code::corrupt, fmt::format("response head: {}", what)); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Digits only: no sign, no blank, no overflow.
std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_name(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

bool is_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

bool same(std::string_view name, std::string_view lower) {
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "HTTP/1.1 206 Partial Content"
Result<int> parse_status_line(std::string_view line) {
  if (!line.starts_with("HTTP/1.0 ") && !line.starts_with("HTTP/1.1 "))
    return bad(fmt::format("'{}' is not a status line", printable(line.substr(0, 80))));
  std::string_view rest = line.substr(9);
  std::optional<uint64_t> status = number(rest.substr(0, std::min<size_t>(3, rest.size())));
  bool ends_well = rest.size() == 3 || (rest.size() > 3 && rest[3] == ' ');
  if (!status || rest.size() < 3 || !ends_well || *status < 100 || *status > 599 || !is_value(rest))
    return bad(fmt::format("bad status '{}'", printable(rest.substr(0, 80))));
  return static_cast<int>(*status);
}

Result<void> set_once(std::optional<uint64_t>& field, std::string_view name, std::string_view value) {
  std::optional<uint64_t> parsed = number(value);
  if (!parsed) return bad(fmt::format("{} '{}' is not a number", name, printable(value.substr(0, 80))));
  if (field && *field != *parsed) return bad(fmt::format("two different values of {}", name));
  field = parsed;
  return {};
}

Result<void> take_header(ResponseHead& head, std::string_view name, std::string_view value) {
  if (same(name, "content-length")) return set_once(head.content_length, "Content-Length", value);
  if (same(name, "content-range")) {
    if (head.content_range) return bad("two of Content-Range");
    TRY_ASSIGN(head.content_range, parse_content_range(value));
  } else if (same(name, "content-encoding")) {
    head.encoded = head.encoded || !(value.empty() || same(value, "identity"));
  } else if (same(name, "location")) {
    if (!head.location.empty() && head.location != value) return bad("two different values of Location");
    head.location = value;
  } else if (same(name, "content-type")) {
    head.content_type = trim(value.substr(0, value.find(';')));
  } else if (same(name, "docker-content-digest")) {
    if (!head.content_digest.empty() && head.content_digest != value)
      return bad("two different values of Docker-Content-Digest");
    head.content_digest = value;
  } else if (same(name, "www-authenticate")) {
    head.challenges.emplace_back(value);
  } else if (same(name, "retry-after")) {
    head.retry_after_s = number(value);
  }
  return {};
}

// "name: value". A line that begins with a blank continues the one before (long obsolete): refused as a bad
// name.
Result<void> parse_line(ResponseHead& head, std::string_view line) {
  size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_name(line.substr(0, colon)))
    return bad(fmt::format("'{}' is not a header", printable(line.substr(0, 80))));
  std::string_view name = line.substr(0, colon);
  std::string_view value = trim(line.substr(colon + 1));
  if (!is_value(value)) return bad(fmt::format("header '{}' holds a control byte", name));
  return take_header(head, name, value);
}

// Cuts one line off `text`; nothing when there is no CR LF.
std::optional<std::string_view> take_line(std::string_view& text) {
  size_t end = text.find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 2);
  return line;
}

}  // namespace

Result<ContentRange> parse_content_range(std::string_view value) {
  Error error = bad(fmt::format("bad Content-Range '{}'", printable(value.substr(0, 80))));
  if (value.size() < 6 || !same(value.substr(0, 6), "bytes ")) return error;
  std::string_view rest = value.substr(6);
  size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return error;
  std::string_view range = rest.substr(0, slash), total = rest.substr(slash + 1);
  ContentRange parsed;
  if (total != "*" && !(parsed.total = number(total))) return error;
  if (range == "*") return parsed.total ? Result<ContentRange>(parsed) : error;
  size_t dash = range.find('-');
  if (dash == std::string_view::npos) return error;
  std::optional<uint64_t> first = number(range.substr(0, dash)), last = number(range.substr(dash + 1));
  if (!first || !last || *first > *last || (parsed.total && *last >= *parsed.total)) return error;
  parsed.span = ContentRange::Span{*first, *last};
  return parsed;
}

Result<ResponseHead> parse_response_head(ByteView bytes) {
  if (bytes.size() > kMaxResponseHeadBytes)
    return bad(fmt::format("longer than {} bytes", kMaxResponseHeadBytes));
  std::string_view text = as_text(bytes);
  std::optional<std::string_view> line = take_line(text);
  if (!line) return bad("no status line");
  ResponseHead head;
  TRY_ASSIGN(head.status, parse_status_line(*line));
  for (size_t count = 0;; count++) {
    line = take_line(text);
    if (!line) return bad("a line without its end");
    if (line->empty()) break;
    if (count == kMaxResponseHeaders) return bad(fmt::format("more than {} headers", kMaxResponseHeaders));
    TRY(parse_line(head, *line));
  }
  if (!text.empty()) return bad("bytes behind its end");
  return head;
}

}  // namespace erofs_format::registry
