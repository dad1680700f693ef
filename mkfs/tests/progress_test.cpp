#include "mkfs/progress.h"

#include <doctest/doctest.h>

using namespace mkfs;

TEST_CASE("progress: a layer in a line") {
  LayerProgress layer;
  layer.label = "layer 2";
  layer.source_size = 3 << 20;
  layer.state = LayerProgress::State::active;
  CHECK(progress_line(layer) == "layer 2: pulled 0 bytes of 3.0 MiB");
  layer.pulled = 1536;
  layer.converted = 1023;
  CHECK(progress_line(layer) == "layer 2: pulled 1.5 KiB of 3.0 MiB, converted 1023 bytes");
  layer.blob_size = uint64_t{5} << 30;
  layer.pushed = 1 << 20;
  CHECK(progress_line(layer) ==
        "layer 2: pulled 1.5 KiB of 3.0 MiB, converted 1023 bytes, pushed 1.0 MiB of 5.0 GiB");
}

TEST_CASE("progress: a layer that is done says what came of it") {
  LayerProgress layer;
  layer.label = "layer 1";
  layer.source_size = layer.pulled = layer.converted = 1024;
  layer.blob_size = layer.pushed = 2048;
  layer.outcome = "converted";
  layer.state = LayerProgress::State::done;
  CHECK(progress_line(layer) == "layer 1: converted, pulled 1.0 KiB, converted 1.0 KiB, pushed 2.0 KiB");
  LayerProgress reused;
  reused.label = "layer 3";
  reused.source_size = 1 << 20;
  reused.outcome = "reused (present)";
  reused.state = LayerProgress::State::done;
  CHECK(progress_line(reused) == "layer 3: reused (present), pulled 0 bytes");
}
