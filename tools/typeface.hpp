// One TrueType or OpenType font of the system (stb_truetype).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/canvas.hpp"

namespace florence2 {

class Typeface {
 public:
  /// Null when the file is missing or no font. Fonts of the system are trusted: the parser is not made for hostile
  /// ones.
  static std::unique_ptr<const Typeface> open(const std::string& path);
  ~Typeface();

  bool has(char32_t character) const;
  /// Width of a character in a line of `height` pixels.
  float advance(char32_t character, float height) const;
  void draw(Canvas& canvas, float x, float y, char32_t character, float height, Color color) const;

 private:
  struct Data;
  explicit Typeface(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace florence2
