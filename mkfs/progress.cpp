#include "mkfs/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "erofs-format/base/bytes.h"
#include "erofs-format/base/os.h"

namespace mkfs {

namespace {

constexpr std::chrono::milliseconds kFrame(200);
constexpr std::chrono::seconds kLineSeconds(10);
constexpr size_t kDefaultColumns = 80;

std::string size_text(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double size = static_cast<double>(bytes) / 1024;
  const char* unit = "KiB";
  for (const char* larger : {"MiB", "GiB"}) {
    if (size < 1024) break;
    size /= 1024;
    unit = larger;
  }
  return fmt::format("{:.1f} {}", size, unit);
}

std::string part_text(uint64_t part, uint64_t whole) {
  if (whole == 0 || part == whole) return size_text(part);
  return size_text(part) + " of " + size_text(whole);
}

size_t terminal_columns() {
  struct winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

// Nobody is left to tell when this fails.
void say(const std::string& text) {
  (void)erofs_format::os::write_all(STDERR_FILENO, erofs_format::as_bytes(text), "stderr");
}

}  // namespace

std::string progress_line(const LayerProgress& layer) {
  std::string line = layer.label + ": ";
  bool done = layer.state == LayerProgress::State::done;
  if (done) line += layer.outcome + ", ";
  line += fmt::format("pulled {}", part_text(layer.pulled, done ? 0 : layer.source_size));
  if (layer.converted > 0) line += ", converted " + size_text(layer.converted);
  if (layer.blob_size > 0) line += ", pushed " + part_text(layer.pushed, layer.blob_size);
  return line;
}

ProgressDisplay::Style ProgressDisplay::style_of(const std::string& word) {
  if (word == "none") return Style::none;
  const char* terminal = std::getenv("TERM");
  bool dumb = terminal == nullptr || std::string(terminal) == "dumb";
  return word == "plain" || dumb || ::isatty(STDERR_FILENO) == 0 ? Style::lines : Style::terminal;
}

ProgressDisplay::ProgressDisplay(Style style, std::vector<LayerProgress*> layers)
    : style_(style), layers_(std::move(layers)) {
  if (style_ != Style::none) thread_ = std::thread([this] { run(); });
}

ProgressDisplay::~ProgressDisplay() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    end_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

void ProgressDisplay::run() {
  std::unique_lock lock(mutex_);
  auto next_lines = std::chrono::steady_clock::now() + kLineSeconds;
  while (!ended_.wait_for(lock, kFrame, [this] { return end_; })) {
    bool due = std::chrono::steady_clock::now() >= next_lines;
    if (due) next_lines += kLineSeconds;
    show(style_ == Style::terminal || due);
  }
  show(false);
}

// Of the layers that were done since the last time.
std::string ProgressDisplay::take_done() {
  std::string text;
  std::erase_if(layers_, [&](const LayerProgress* layer) {
    if (layer->state != LayerProgress::State::done) return false;
    text += progress_line(*layer) + "\n";
    return true;
  });
  return text;
}

void ProgressDisplay::show(bool active) {
  std::string text;
  if (lines_ > 0) text = fmt::format("\x1b[{}A\x1b[J", lines_);
  lines_ = 0;
  text += take_done();
  if (active) {
    size_t columns = terminal_columns();
    for (const LayerProgress* layer : layers_) {
      if (layer->state != LayerProgress::State::active) continue;
      std::string line = progress_line(*layer);
      if (style_ == Style::terminal) {
        line.resize(std::min(line.size(), columns - 1));
        lines_++;
      }
      text += line + "\n";
    }
  }
  say(text);
}

}  // namespace mkfs
