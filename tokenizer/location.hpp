// Location bins: coordinates in a picture <-> <loc_0> … <loc_999>. All arithmetic in f32, as in the reference;
// f64 gives other bins on bin borders.
#pragma once

#include <algorithm>
#include <cmath>

namespace florence2 {

inline constexpr int kLocationBins = 1000;

/// Bin of a coordinate on an axis of `size` pixels: clamp(floor(x / (size / 1000)), 0, 999).
inline int location_bin(float coordinate, int size) {
  const float step = static_cast<float>(size / 1000.0);
  const float bin = std::floor(coordinate / step);
  return static_cast<int>(std::clamp(bin, 0.0f, 999.0f));
}

/// Centre of a bin in pixels: (bin + 0.5) * (size / 1000).
inline float location_centre(float bin, int size) { return (bin + 0.5f) * static_cast<float>(size / 1000.0); }

}  // namespace florence2
