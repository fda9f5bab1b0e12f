// Label plates beside the things they name, kept apart from each other and inside the picture.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/canvas.hpp"
#include "tools/font.hpp"

namespace florence2 {

/// The longest beginning of `text` that is at most `width` pixels wide.
std::string fit(const Font& font, std::string_view text, float width);

class Labels {
 public:
  Labels(Canvas& canvas, const Font& font) : canvas_(canvas), font_(font) {}

  /// Where a plate goes when nothing is in the way: flush with the left side of a box, over the middle of an outline.
  enum class Align { left, middle };

  /// Draws `text` on a plate of `color` beside the thing with these outlines; nothing for empty text.
  void add(std::span<const Contour> contours, Align align, std::string text, Color color);

 private:
  Box place(const Box& thing, Align align, float width, float height) const;

  Canvas& canvas_;
  const Font& font_;
  std::vector<Box> placed_;
};

}  // namespace florence2
