#include "erofs-format/registry/redirect_memory.h"

#include "erofs-format/registry/limits.h"

namespace erofs_format::registry {

void RedirectMemory::remember(const std::string& blob_id, Target target, uint64_t now_ms) {
  if (entries_.size() >= kMaxRedirectMemory) entries_.clear();  // only costs a redirect each
  entries_[blob_id] = {std::move(target), now_ms + kRedirectMemoryMs};
}

std::optional<RedirectMemory::Target> RedirectMemory::find(const std::string& blob_id, uint64_t now_ms) {
  auto found = entries_.find(blob_id);
  if (found == entries_.end()) return std::nullopt;
  if (now_ms < found->second.good_until_ms) return found->second.target;
  entries_.erase(found);
  return std::nullopt;
}

}  // namespace erofs_format::registry
