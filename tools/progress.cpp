#include "tools/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

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

}  // namespace

Progress::Progress(bool wanted) : enabled_(wanted && ::isatty(STDERR_FILENO) == 1) {}

void Progress::show(const std::string& text) {
  if (!enabled_) return;
  const std::string line = printable(text);
  const std::string_view shown = fitting(line);
  std::fprintf(stderr, "\r\x1b[K%.*s", static_cast<int>(shown.size()), shown.data());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace florence2
