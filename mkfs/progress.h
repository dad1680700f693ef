// What a conversion does, layer by layer, for who waits for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mkfs {

// Bytes so far; set by whoever does the work, read by the display.
struct LayerProgress {
  enum class State { waiting, active, done };

  std::string label;
  uint64_t source_size = 0;             // as it is stored
  std::atomic<uint64_t> pulled = 0;     // of the source
  std::atomic<uint64_t> converted = 0;  // of the tar in it
  std::atomic<uint64_t> blob_size = 0;  // 0 until it is known
  std::atomic<uint64_t> pushed = 0;     // of the blob
  std::atomic<State> state = State::waiting;
  std::string outcome = {};  // with State::done: a word or two
};

// "layer 2 (0123456789ab): pulled 1.5 of 3.0 MiB, converted 4.0 MiB, pushed 0 bytes of 1.0 MiB"
std::string progress_line(const LayerProgress& layer);

// Shows layers on stderr: on a terminal all that are under way, in place; elsewhere each when it is done, and
// those that take long every kLineSeconds.
class ProgressDisplay {
 public:
  enum class Style { terminal, lines, none };
  // "auto", "plain" or "none"; auto is plain where stderr is no terminal that can move its cursor.
  static Style style_of(const std::string& word);

  // `layers` outlive the display and are not moved.
  ProgressDisplay(Style style, std::vector<LayerProgress*> layers);
  // Shows how everything ended.
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

 private:
  void run();
  void show(bool active);
  std::string take_done();

  const Style style_;
  std::vector<LayerProgress*> layers_;  // not yet shown as done
  size_t lines_ = 0;                    // on the terminal, to be replaced
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace mkfs
