// A picture to draw on: anti-aliased polygons and lines in plain RGB.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/florence2.hpp"

namespace florence2 {

struct Color {
  std::uint8_t r = 0, g = 0, b = 0;
};

using Contour = std::vector<Point>;

/// Coordinates are pixels; (0, 0) is the corner of the first one. Everything outside is clipped.
class Canvas {
 public:
  Canvas(int width, int height, Color background);
  /// The picture enlarged `scale` times.
  Canvas(const ImageView& image, int scale);

  int width() const { return width_; }
  int height() const { return height_; }
  const std::vector<std::uint8_t>& rgb() const { return rgb_; }  ///< [height][width][3]

  /// Adds `rows` rows of `color` at the bottom.
  void extend(int rows, Color color);
  void blend(int x, int y, Color color, float opacity);
  /// Fills the union of the contours (non-zero winding).
  void fill(std::span<const Contour> contours, Color color, float opacity);
  /// A line of `thickness` along the contour, corners rounded.
  void stroke(std::span<const Point> contour, bool closed, float thickness, Color color, float opacity);

 private:
  int width_ = 0, height_ = 0;
  std::vector<std::uint8_t> rgb_;
};

}  // namespace florence2
