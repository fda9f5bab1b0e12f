#include "tools/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "core/utf8.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

/// The beginning of `text` that one line of the terminal holds: what wraps cannot be erased.
std::string_view fitting(std::string_view text) {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  std::size_t bytes = 0;
  for (int column = 1; column < (known ? size.ws_col : 80) && bytes < text.size(); ++column) {
    bytes += utf8_step(text.substr(bytes)).size;
  }
  return text.substr(0, bytes);
}

/// "12 s", "3 min 5 s", "2 h 14 min"
std::string duration(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

}  // namespace

std::string progress_bar(int done, int total, double seconds) {
  constexpr int kWidth = 20;
  const auto filled = static_cast<std::size_t>(std::int64_t{kWidth} * done / total);
  std::string text = "[" + std::string(filled, '#') + std::string(kWidth - filled, ' ') + "] " + std::to_string(done) +
                     "/" + std::to_string(total);
  if (done == 0 || seconds <= 0) return text;
  const double rate = done / seconds;
  char number[48];
  std::snprintf(number, sizeof(number), rate >= 1 ? "  %.1f/s  " : "  %.1f s each  ", rate >= 1 ? rate : 1 / rate);
  return text + number + duration((total - done) / rate) + " left";
}

Progress::Progress(bool wanted) : enabled_(wanted && ::isatty(STDERR_FILENO) == 1) {}

void Progress::start_bar(int total) {
  total_ = total;
  watch_.lap();
}

void Progress::show(const std::string& text) {
  if (!enabled_ || paused_) return;
  std::string line = printable(text);
  if (total_ > 1) {
    line = progress_bar(done_, total_, seconds()) + "  " + line;
  }
  const std::string_view shown = fitting(line);
  std::fprintf(stderr, "\r\x1b[K%.*s", static_cast<int>(shown.size()), shown.data());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::print() {
  clear();
  const char* new_line = enabled_ && paused_ ? "\n" : "";
  std::fprintf(stderr, "%sflorence2: %s\n", new_line, progress_bar(done_, total_, seconds()).c_str());
}

double Progress::seconds() {
  seconds_ += watch_.lap() / 1000;
  return seconds_;
}

void Progress::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

void Progress::pause() {
  clear();
  paused_ = true;
}

}  // namespace florence2
