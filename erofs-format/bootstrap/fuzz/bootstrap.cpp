// Any bytes as a bootstrap: an answer, and a tree that can be printed.
#include "erofs-format/bootstrap/bootstrap_reader.h"
#include "erofs-format/bootstrap/dump.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace erofs_format;
  std::vector<std::string> notes;
  auto tree = read_bootstrap({data, size}, "fuzz", &notes);
  if (!tree) return 0;
  // The text of a deep tree is longer than the image by its depth; the reader is what is tried here.
  constexpr size_t kMaxLines = 1000;
  size_t lines = 0;
  auto done = dump_tree(*tree, nullptr, [&](std::string_view) -> Result<void> {
    if (++lines > kMaxLines) return make_error(Code::too_large, "enough");
    return {};
  });
  (void)done;
  return 0;
}
