#include "fscached/personality/http_request.h"

#include <fmt/format.h>
#include <http_parser.h>

#include "fscached/limits.h"

namespace fscached {

namespace {

constexpr size_t kMaxParameters = 32;
constexpr int kStop = -1;  // 1 and 2 mean something else to the parser behind a head

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || (high == 0 && low == 0))
      return make_error(Code::corrupt, "request: '%' without two digits, or a zero byte");
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

const char* reason(int status) { return http_status_str(static_cast<http_status>(status)); }

}  // namespace

std::string HttpRequest::parameter(const std::string& name) const {
  auto found = query.find(name);
  return found == query.end() ? std::string() : found->second;
}

Result<std::map<std::string, std::string>> parse_query(std::string_view text) {
  std::map<std::string, std::string> parameters;
  for (size_t start = 0; start < text.size();) {
    size_t end = std::min(text.find('&', start), text.size());
    std::string_view pair = text.substr(start, end - start);
    start = end + 1;
    if (pair.empty()) continue;
    if (parameters.size() == kMaxParameters)
      return make_error(Code::too_large, fmt::format("request: more than {} parameters", kMaxParameters));
    size_t equals = std::min(pair.find('='), pair.size());
    TRY_ASSIGN(std::string name, decode(pair.substr(0, equals), true));
    TRY_ASSIGN(std::string value, decode(pair.substr(std::min(equals + 1, pair.size())), true));
    parameters[name] = value;
  }
  return parameters;
}

std::string to_bytes(const HttpResponse& response, bool keep_alive) {
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\nServer: fscached\r\n", response.status, reason(response.status));
  if (!keep_alive) head += "Connection: close\r\n";
  if (response.status != 204)
    head += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", response.body.size());
  return head + "\r\n" + (response.status == 204 ? "" : response.body);
}

struct HttpRequestReader::State {
  http_parser parser = {};
  std::string pending;  // of a following request
  std::string target, body, field, value;
  bool in_value = false, complete = false;
  bool expects = false, too_large = false;

  static State& of(http_parser* parser) { return *static_cast<State*>(parser->data); }
  static int on_begin(http_parser* parser);
  static int on_url(http_parser* parser, const char* at, size_t size);
  static int on_field(http_parser* parser, const char* at, size_t size);
  static int on_value(http_parser* parser, const char* at, size_t size);
  static int on_headers(http_parser* parser);
  static int on_body(http_parser* parser, const char* at, size_t size);
  static int on_complete(http_parser* parser);
  bool grow(std::string& into, const char* at, size_t size, size_t limit);
  void end_header();
  Result<HttpRequest> request();
};

bool HttpRequestReader::State::grow(std::string& into, const char* at, size_t size, size_t limit) {
  if (into.size() + size > limit) return too_large = true, false;
  into.append(at, size);
  return true;
}

int HttpRequestReader::State::on_begin(http_parser* parser) {
  State& state = of(parser);
  for (std::string* text : {&state.target, &state.body, &state.field, &state.value}) text->clear();
  state.in_value = state.complete = state.expects = false;
  return 0;
}

int HttpRequestReader::State::on_url(http_parser* parser, const char* at, size_t size) {
  return of(parser).grow(of(parser).target, at, size, kMaxApiHeadBytes) ? 0 : 1;
}

void HttpRequestReader::State::end_header() {
  if (field.size() == 6 && strncasecmp(field.c_str(), "expect", 6) == 0 &&
      strncasecmp(value.c_str(), "100-continue", 12) == 0)
    expects = true;
  field.clear();
  value.clear();
  in_value = false;
}

int HttpRequestReader::State::on_field(http_parser* parser, const char* at, size_t size) {
  State& state = of(parser);
  if (state.in_value) state.end_header();
  return state.grow(state.field, at, size, kMaxApiHeadBytes) ? 0 : 1;
}

int HttpRequestReader::State::on_value(http_parser* parser, const char* at, size_t size) {
  State& state = of(parser);
  state.in_value = true;
  return state.grow(state.value, at, size, kMaxApiHeadBytes) ? 0 : 1;
}

int HttpRequestReader::State::on_headers(http_parser* parser) {
  State& state = of(parser);
  state.end_header();
  if (parser->content_length != ULLONG_MAX && parser->content_length > kMaxApiBodyBytes)
    return state.too_large = true, kStop;
  return 0;
}

int HttpRequestReader::State::on_body(http_parser* parser, const char* at, size_t size) {
  return of(parser).grow(of(parser).body, at, size, kMaxApiBodyBytes) ? 0 : 1;
}

// Paused, so that what follows is another request's.
int HttpRequestReader::State::on_complete(http_parser* parser) {
  of(parser).complete = true;
  http_parser_pause(parser, 1);
  return 0;
}

Result<HttpRequest> HttpRequestReader::State::request() {
  HttpRequest request;
  request.method = http_method_str(static_cast<http_method>(parser.method));
  request.keep_alive = http_should_keep_alive(&parser) != 0;
  request.body = std::move(body);
  std::string_view text = target;
  // "http://unix/api/…" is allowed in place of the path.
  http_parser_url url = {};
  if (http_parser_parse_url(text.data(), text.size(), 0, &url) != 0 || !(url.field_set & (1 << UF_PATH)))
    return make_error(Code::corrupt, "request: no path in it");
  auto part = [&](http_parser_url_fields which) {
    return (url.field_set & (1 << which)) ? text.substr(url.field_data[which].off, url.field_data[which].len)
                                          : std::string_view();
  };
  TRY_ASSIGN(request.path, decode(part(UF_PATH), false));
  TRY_ASSIGN(request.query, parse_query(part(UF_QUERY)));
  return request;
}

HttpRequestReader::HttpRequestReader() : state_(std::make_unique<State>()) {
  http_parser_init(&state_->parser, HTTP_REQUEST);
  state_->parser.data = state_.get();
}

HttpRequestReader::~HttpRequestReader() = default;

bool HttpRequestReader::wants_continue() { return std::exchange(state_->expects, false); }

Result<std::optional<HttpRequest>> HttpRequestReader::take(ByteView bytes) {
  State& state = *state_;
  state.pending += as_text(bytes);
  if (state.pending.empty()) return std::optional<HttpRequest>();
  static const http_parser_settings settings = [] {
    http_parser_settings made = {};
    made.on_message_begin = State::on_begin;
    made.on_url = State::on_url;
    made.on_header_field = State::on_field;
    made.on_header_value = State::on_value;
    made.on_headers_complete = State::on_headers;
    made.on_body = State::on_body;
    made.on_message_complete = State::on_complete;
    return made;
  }();
  size_t used = http_parser_execute(&state.parser, &settings, state.pending.data(), state.pending.size());
  http_errno error = HTTP_PARSER_ERRNO(&state.parser);
  if (error != HPE_OK && error != HPE_PAUSED) {
    if (state.too_large || error == HPE_HEADER_OVERFLOW)
      return make_error(Code::too_large, "request: head or body is too large");
    return make_error(Code::corrupt, fmt::format("request: {}", http_errno_description(error)));
  }
  if (state.parser.upgrade) return make_error(Code::corrupt, "request: asks for another protocol");
  state.pending.erase(0, used);
  if (!state.complete) return std::optional<HttpRequest>();
  state.complete = false;
  http_parser_pause(&state.parser, 0);
  TRY_ASSIGN(HttpRequest request, state.request());
  return std::optional<HttpRequest>(std::move(request));
}

}  // namespace fscached
