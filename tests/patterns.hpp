// Test pictures by integer formula, the same as those of the reference data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/florence2.hpp"

namespace florence2::test {

struct Pattern {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  ///< [height][width][3]

  ImageView view() const { return {rgb.data(), width, height, std::ptrdiff_t{3} * width}; }
};

/// "scene" (waves, rectangles and discs), "noise", "ramp" or "stripes".
Pattern make_pattern(const std::string& name, int width, int height, int seed);

}  // namespace florence2::test
