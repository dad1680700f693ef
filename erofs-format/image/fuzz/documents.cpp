// Manifest, index, configuration and reference from bytes: no crash, and what was
// accepted can be written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "erofs-format/image/manifest.h"
#include "erofs-format/image/reference.h"

using namespace erofs_format;

namespace {

template <typename Parse>
void round_trip(ByteView bytes, Parse&& parse) {
  auto document = parse(bytes, "input");
  if (!document) return;
  std::string text = serialize(*document);
  auto again = parse(as_bytes(text), "again");
  if (!again || serialize(*again) != text) std::abort();
}

void round_trip_reference(ByteView bytes) {
  auto reference = parse_reference(as_text(bytes));
  if (!reference) return;
  auto again = parse_reference(to_string(*reference));
  if (!again || to_string(*again) != to_string(*reference)) std::abort();
}

void rewrite_config(ByteView bytes) {
  auto config = parse_config(bytes, "input");
  if (!config) return;
  config->set_diff_ids({Digest{}});
  config->add_history("by", "comment");
  auto again = parse_config(as_bytes(serialize(*config)), "again");
  if (!again || again->diff_ids.size() != 1) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView bytes(data, size);
  round_trip(bytes, [](ByteView text, const char* name) { return parse_manifest(text, name); });
  round_trip(bytes, [](ByteView text, const char* name) { return parse_index(text, name); });
  round_trip(bytes, [](ByteView text, const char* name) { return parse_config(text, name); });
  round_trip_reference(bytes);
  rewrite_config(bytes);
  return 0;
}
