// Label plates beside the things they name, kept apart from each other and inside the picture.
#pragma once

#include <string>
#include <string_view>

#include "tools/font.hpp"
#include "tools/scene.hpp"

namespace florence2 {

/// The longest beginning of `text` that is at most `width` pixels wide.
std::string fit(const Font& font, std::string_view text, float width);

/// Adds a plate with label and score to the scene, beside the thing `mark`: flush with the left side of boxes and
/// quads, over the middle of outlines. A label without room for all of it is cut, the score is not. Nothing when both
/// are empty. `font` has the scene's text height.
void add_plate(Scene& scene, const Font& font, const Mark& mark, std::string label, const std::string& score);

}  // namespace florence2
