// A font of 5 x 7 dots for machines without fonts: ASCII, and a frame for every other character.
#pragma once

#include "tools/canvas.hpp"

namespace florence2::bitmap_font {

/// Width of any character in a line of `height` pixels.
float advance(float height);
void draw(Canvas& canvas, float x, float y, char32_t character, float height, Color color);

}  // namespace florence2::bitmap_font
