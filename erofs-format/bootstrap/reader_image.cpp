#include "erofs-format/bootstrap/reader_image.h"

#include <fmt/format.h>

#include <algorithm>

namespace erofs_format::reader {

bool ExtentMap::claim(uint64_t offset, uint64_t size) {
  uint64_t first = offset / ondisk::kSlotSize;
  uint64_t end = div_up(offset + size, ondisk::kSlotSize);
  for (uint64_t slot = first; slot < end; slot++) {
    if (slots_[slot]) return false;
    slots_[slot] = true;
  }
  return true;
}

Error Image::corrupt(uint64_t offset, std::string_view what) const {
  return make_error(Code::corrupt, fmt::format("{}: byte {}: {}", name, offset, what));
}

Error Image::unsupported(std::string_view feature) const {
  return make_error(Code::unsupported, fmt::format("{}: not supported yet: {}", name, feature));
}

void Image::note(uint64_t offset, std::string_view what) const {
  if (notes && notes->size() < kMaxNotes) notes->push_back(fmt::format("byte {}: {}", offset, what));
}

Result<void> Image::claim(uint64_t offset, uint64_t size, std::string_view owner) {
  if (!in_range(offset, size, bytes.size()))
    return corrupt(offset, fmt::format("{} of {} bytes lies outside the image", owner, size));
  if (!extents.claim(offset, size))
    return corrupt(offset, fmt::format("{} of {} bytes overlaps something else", owner, size));
  return {};
}

Result<void> check_rules(const Image& image, std::initializer_list<Rule> rules) {
  for (const Rule& rule : rules)
    if (rule.broken) return image.corrupt(rule.offset, rule.what);
  return {};
}

}  // namespace erofs_format::reader
