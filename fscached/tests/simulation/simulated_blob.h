// A blob as its sources have it, and what readers of it must see.
#pragma once

#include <memory>

#include "fscached/object/blob_layout.h"
#include "fscached/tests/simulation/choices.h"

namespace fscached {

struct SimulatedBlob {
  std::shared_ptr<const BlobLayout> layout;
  Buffer stored;
  Buffer image;  // the cache file when everything is there
  const std::string& id() const { return layout->blob().id; }
  uint64_t size() const { return image.size(); }
};

// `letter`: of its id. `gaps`: the image leaves chunks out.
SimulatedBlob make_blob(Choices& choices, char letter, bool gaps);

}  // namespace fscached
