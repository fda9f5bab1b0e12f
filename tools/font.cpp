#include "tools/font.hpp"

#include <algorithm>
#include <cmath>

#include "core/utf8.hpp"
#include "tools/bitmap_font.hpp"
#include "tools/typeface.hpp"

namespace florence2 {
namespace {

// The usual places of sans-serif fonts; the later ones only help out with characters that the first ones lack.
constexpr const char* kFontFiles[] = {
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation-sans/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/freefont/FreeSans.ttf",
    "/System/Library/Fonts/Helvetica.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
};

template <typename Use>
void for_each_character(std::string_view text, const Use& use) {
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    text.remove_prefix(step.size);
    if (step.code_point >= 0x20 && step.code_point != 0x7F) use(step.code_point);
  }
}

}  // namespace

Font::Font(float height) : height_(height) {
  for (const char* path : kFontFiles) {
    if (auto typeface = Typeface::open(path)) typefaces_.push_back(std::move(typeface));
  }
}

Font::~Font() = default;

void Font::use_built_in() { typefaces_.clear(); }

const Typeface* Font::typeface_for(char32_t character) const {
  for (const auto& typeface : typefaces_) {
    if (typeface->has(character)) return typeface.get();
  }
  return nullptr;
}

float Font::advance(char32_t character) const {
  const Typeface* typeface = typeface_for(character);
  return typeface != nullptr ? typeface->advance(character, height_) : bitmap_font::advance(height_);
}

float Font::width(std::string_view text) const {
  float sum = 0;
  for_each_character(text, [&](char32_t character) { sum += advance(character); });
  return sum;
}

void Font::draw(Canvas& canvas, float x, float y, std::string_view text, Color color) const {
  for_each_character(text, [&](char32_t character) {
    const Typeface* typeface = typeface_for(character);
    if (typeface != nullptr) {
      typeface->draw(canvas, x, y, character, height_, color);
    } else {
      bitmap_font::draw(canvas, x, y, character, height_, color);
    }
    x += advance(character);
  });
}

}  // namespace florence2
