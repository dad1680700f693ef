#include "mkfs/source_estargz.h"

#include <algorithm>

namespace mkfs {

namespace {

constexpr std::string_view kOwnFiles[] = {"stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"};

class EstargzSource : public Source {
 public:
  explicit EstargzSource(std::unique_ptr<Source> tar) : tar_(std::move(tar)) {}

  Result<bool> next(SourceEntry& entry) override {
    for (;;) {
      TRY_ASSIGN(bool more, tar_->next(entry));
      if (!more || std::find(std::begin(kOwnFiles), std::end(kOwnFiles), entry.path) == std::end(kOwnFiles))
        return more;
    }
  }
  Result<size_t> read(MutableBytes into) override { return tar_->read(into); }
  std::optional<uint64_t> position() const override { return tar_->position(); }

 private:
  std::unique_ptr<Source> tar_;
};

}  // namespace

std::unique_ptr<Source> make_estargz_source(std::unique_ptr<Source> tar) {
  return std::make_unique<EstargzSource>(std::move(tar));
}

}  // namespace mkfs
