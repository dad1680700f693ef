#include "mkfs/parent.h"

#include "erofs-format/bootstrap/bootstrap_writer.h"
#include "mkfs/merge.h"

namespace mkfs {

Result<void> lay_over_parent(Parent parent, const std::string& source, BuildResult& result) {
  std::vector<MergeLayer> layers;
  layers.push_back({std::move(parent.name), std::move(parent.tree)});
  layers.push_back({source, std::move(result.tree)});
  MergeOptions options;
  options.guess_implied = false;  // the build knows which directories its source spoke of
  TRY_ASSIGN(result.tree, merge_layers(std::move(layers), options));
  TRY_ASSIGN(result.bootstrap, drain_to_bootstrap(result.tree));
  return {};
}

}  // namespace mkfs
