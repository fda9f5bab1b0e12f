// An answer as an SVG overlay: vectors in pixels of the picture, with labels, scores and tasks as data-* attributes.
#pragma once

#include <string>

#include "tools/scene.hpp"

namespace florence2 {

/// `href`: what the picture below the overlay is, a path or a "data:" address.
std::string svg_document(const Scene& scene, const std::string& href);

/// Text height for scenes of a picture of this size, so that the overlay looks like the one painted by draw_answer().
float svg_text_height(int width, int height);

/// A "data:" address that holds the picture as JPEG. Errors as encode_jpeg().
Result<std::string> data_address(const ImageView& image);

}  // namespace florence2
