#include "erofs-format/image/json.h"

#include <fmt/format.h>

namespace erofs_format {

namespace {

// Depth of nesting, found before parsing: the library has no limit of its own.
bool too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') i++;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDocumentDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
  return false;
}

}  // namespace

Result<Json> parse_document(ByteView text, const std::string& name) {
  if (text.size() > kMaxDocumentSize)
    return make_error(Code::too_large, fmt::format("{}: larger than {} bytes", name, kMaxDocumentSize));
  if (too_deep(as_text(text)))
    return make_error(Code::too_large,
                      fmt::format("{}: nested deeper than {} levels", name, kMaxDocumentDepth));
  Json document = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return make_error(Code::corrupt, name + ": not a JSON document");
  if (!document.is_object()) return make_error(Code::corrupt, name + ": not a JSON object");
  return document;
}

std::string serialize(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

JsonField JsonField::member(std::string_view key) const {
  std::string name = fmt::format("{}: {}", name_, key);
  if (size_t colon = name_.find(": "); colon != name_.npos) name = fmt::format("{}.{}", name_, key);
  if (!present() || !value_->is_object()) return JsonField(nullptr, std::move(name));
  auto found = value_->find(std::string(key));
  if (found == value_->end() || found->is_null()) return JsonField(nullptr, std::move(name));
  return JsonField(&*found, std::move(name));
}

Error JsonField::error(std::string_view what) const {
  return make_error(Code::corrupt, fmt::format("{}: {}", name_, what));
}

Result<std::string> JsonField::text() const {
  if (!present()) return error("missing");
  const auto* text = value_->get_ptr<const Json::string_t*>();
  if (!text) return error("not a string");
  return *text;
}

Result<std::string> JsonField::optional_text() const {
  if (!present()) return std::string();
  return text();
}

Result<uint64_t> JsonField::number() const {
  if (!present()) return error("missing");
  const auto* number = value_->get_ptr<const Json::number_unsigned_t*>();
  if (!number) return error("not a number of 0 or more");
  return *number;
}

Result<void> JsonField::require_object() const {
  if (!present()) return error("missing");
  if (!value_->is_object()) return error("not an object");
  return {};
}

Result<void> JsonField::require_array() const {
  if (!value_->is_array()) return error("not an array");
  return {};
}

}  // namespace erofs_format
