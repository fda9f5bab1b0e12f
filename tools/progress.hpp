// One line on standard error that says what is going on; only where standard error is a terminal.
#pragma once

#include <string>

#include "core/stopwatch.hpp"

namespace florence2 {

/// "[####      ] 4/10  1.5/s  4 s left" for `done` of `total` pictures after `seconds`; rate and time only once
/// something is done.
std::string progress_bar(int done, int total, double seconds);

class Progress {
 public:
  explicit Progress(bool wanted);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Puts a bar in front of what is shown from now on; the clock for rate and time left starts. Nothing for one
  /// picture.
  void start_bar(int total);
  void advance() { ++done_; }

  void show(const std::string& text);
  void clear();
  /// From now on someone else's unfinished line stands where progress would: nothing is shown or erased until resume().
  void pause();
  void resume() { paused_ = false; }
  /// The bar as a line of its own, terminal or not. After start_bar().
  void print();

 private:
  double seconds();

  bool enabled_;
  bool shown_ = false, paused_ = false;
  int done_ = 0, total_ = 0;
  double seconds_ = 0;
  Stopwatch watch_;
};

}  // namespace florence2
