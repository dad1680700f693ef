// JSON from strangers: bounded, never throwing, with errors that name document
// and field. Documents keep their unknown fields and the order of all fields.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/result.h"

namespace erofs_format {

using Json = nlohmann::ordered_json;

// Manifests, indexes and configs: registries take no more than 4 MiB.
constexpr uint64_t kMaxDocumentSize = 4 << 20;
constexpr size_t kMaxDocumentDepth = 64;

// `name` stands in front of every message. The document is an object.
Result<Json> parse_document(ByteView text, const std::string& name);
// The text of a document, as it is hashed and stored.
std::string serialize(const Json& document);

// A field of one object of a document. Messages read "NAME: FIELD: what is wrong".
class JsonField {
 public:
  // `object` outlives the field.
  JsonField(const Json& object, std::string name) : value_(&object), name_(std::move(name)) {}

  const Json& value() const { return *value_; }
  const std::string& name() const { return name_; }
  bool present() const { return value_ != nullptr; }
  // A member, which may be absent (null counts as absent).
  JsonField member(std::string_view key) const;
  // Calls `each(JsonField)` for every element of an array; an absent one has none.
  template <typename Each>
  Result<void> for_each(Each&& each) const;

  Result<std::string> text() const;
  // "" when absent.
  Result<std::string> optional_text() const;
  Result<uint64_t> number() const;
  Result<void> require_object() const;
  Error error(std::string_view what) const;

 private:
  JsonField(const Json* value, std::string name) : value_(value), name_(std::move(name)) {}
  Result<void> require_array() const;
  const Json* value_;
  std::string name_;
};

template <typename Each>
Result<void> JsonField::for_each(Each&& each) const {
  if (!present()) return {};
  TRY(require_array());
  for (size_t i = 0; i < value_->size(); i++)
    TRY(each(JsonField(&(*value_)[i], name_ + "[" + std::to_string(i) + "]")));
  return {};
}

}  // namespace erofs_format
