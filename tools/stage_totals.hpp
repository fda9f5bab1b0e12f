// What `--timings` says.
#pragma once

#include <cstdint>
#include <string>

#include "model/florence2.hpp"

namespace florence2 {

struct StageTotals {
  double load = 0, decode_image = 0;  ///< milliseconds
  Timings stages;
  int pictures = 0, answers = 0;
  std::int64_t tokens = 0;

  void add_picture(double decode_ms, const Timings& encode);
  void add_answer(const TaskResult& result);
  /// A table: total of each stage, how often it ran, milliseconds a run; peak memory.
  std::string table() const;
};

}  // namespace florence2
