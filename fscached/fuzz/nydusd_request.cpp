// What comes over nydusd's API: requests, whole and cut in two anywhere, and the settings of an image in
// them.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "fscached/limits.h"
#include "fscached/personality/http_request.h"
#include "fscached/personality/image_config.h"
#include "fscached/personality/launcher_wire.h"

using namespace fscached;

namespace {

struct Outcome {
  std::vector<HttpRequest> requests;
  bool failed = false;
};

void feed(HttpRequestReader& reader, ByteView bytes, Outcome& outcome) {
  while (!outcome.failed) {
    auto request = reader.take(bytes);
    bytes = {};
    if (!request) {
      if (request.error().message.empty()) std::abort();
      outcome.failed = true;
    } else if (*request) {
      outcome.requests.push_back(std::move(**request));
    } else {
      return;
    }
  }
}

void check_request(const HttpRequest& request) {
  if (request.path.empty() || request.path.find('\0') != std::string::npos) std::abort();
  if (request.body.size() > kMaxApiBodyBytes) std::abort();
  auto place = mountpoint_of("/m", request.parameter("mountpoint"));
  if (place && (*place + "/").find("/../") != std::string::npos) std::abort();
}

void check_config(ByteView text) {
  auto config = parse_image_config(text);
  if (!config) {
    if (config.error().message.empty()) std::abort();
    return;
  }
  if (config->where.empty() || config->work_dir.empty() || config->work_dir[0] != '/') std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Outcome whole, cut;
  HttpRequestReader first, second;
  feed(first, {data, size}, whole);
  size_t at = size == 0 ? 0 : data[size / 2] % size;
  feed(second, {data, at}, cut);
  feed(second, {data + at, size - at}, cut);
  if (whole.failed != cut.failed || whole.requests.size() != cut.requests.size()) std::abort();
  for (size_t i = 0; i < whole.requests.size(); i++) {
    if (whole.requests[i].path != cut.requests[i].path || whole.requests[i].body != cut.requests[i].body)
      std::abort();
    check_request(whole.requests[i]);
    check_config(as_bytes(whole.requests[i].body));
  }
  check_config({data, size});
  return 0;
}
