// Where the server sent us for a blob, so that the next ranges go there at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "erofs-format/registry/reach.h"
#include "erofs-format/registry/url.h"

namespace erofs_format::registry {

class RedirectMemory {
 public:
  struct Target {
    Url url;
    Reach sent_from = Reach::network;
  };
  void remember(const std::string& blob_id, Target target, uint64_t now_ms);
  std::optional<Target> find(const std::string& blob_id, uint64_t now_ms);
  void forget(const std::string& blob_id) { entries_.erase(blob_id); }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Target target;
    uint64_t good_until_ms = 0;
  };
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace erofs_format::registry
