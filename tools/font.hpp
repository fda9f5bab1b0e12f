// Text on a canvas, in a font of the system where there is one, else in a small one of our own.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tools/canvas.hpp"

namespace florence2 {

class Typeface;  // one font file

class Font {
 public:
  /// `height` is the distance between lines of text in pixels.
  explicit Font(float height);
  ~Font();
  Font(const Font&) = delete;
  Font& operator=(const Font&) = delete;

  /// Only the built-in characters (ASCII), as on a machine without fonts.
  void use_built_in();

  float height() const { return height_; }
  float width(std::string_view text) const;
  /// Draws with the top left corner of the line at (x, y); control characters are left out.
  void draw(Canvas& canvas, float x, float y, std::string_view text, Color color) const;

 private:
  const Typeface* typeface_for(char32_t character) const;
  float advance(char32_t character) const;

  float height_;
  std::vector<std::unique_ptr<const Typeface>> typefaces_;  // in order of preference
};

}  // namespace florence2
