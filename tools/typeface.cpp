#include "tools/typeface.hpp"

#include <cmath>

#include "core/file.hpp"

#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_truetype.h>
#pragma GCC diagnostic pop

namespace florence2 {
namespace {

constexpr std::int64_t kLargestFontFile = 64 << 20;

}  // namespace

struct Typeface::Data {
  std::string file;
  stbtt_fontinfo info{};
  float ascent = 0, line = 1;  // in font units
};

Typeface::Typeface(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Typeface::~Typeface() = default;

std::unique_ptr<const Typeface> Typeface::open(const std::string& path) {
  auto file = read_file(path, kLargestFontFile);
  if (!file) return nullptr;
  auto data = std::make_unique<Data>();
  data->file = std::move(file).value();
  const auto* bytes = reinterpret_cast<const unsigned char*>(data->file.data());
  const int offset = stbtt_GetFontOffsetForIndex(bytes, 0);
  if (offset < 0 || stbtt_InitFont(&data->info, bytes, offset) == 0) return nullptr;
  int ascent = 0, descent = 0, gap = 0;
  stbtt_GetFontVMetrics(&data->info, &ascent, &descent, &gap);
  data->ascent = static_cast<float>(ascent);
  data->line = static_cast<float>(ascent - descent);
  return std::unique_ptr<const Typeface>(new Typeface(std::move(data)));
}

bool Typeface::has(char32_t character) const {
  return stbtt_FindGlyphIndex(&data_->info, static_cast<int>(character)) != 0;
}

float Typeface::advance(char32_t character, float height) const {
  int advance = 0, bearing = 0;
  stbtt_GetCodepointHMetrics(&data_->info, static_cast<int>(character), &advance, &bearing);
  return static_cast<float>(advance) * height / data_->line;
}

void Typeface::draw(Canvas& canvas, float x, float y, char32_t character, float height, Color color) const {
  const float scale = height / data_->line;
  const float baseline = std::round(y + data_->ascent * scale);  // whole pixels keep the stems sharp
  const float left = std::floor(x);
  int width = 0, rows = 0, x_offset = 0, y_offset = 0;
  unsigned char* coverage = stbtt_GetCodepointBitmapSubpixel(
      &data_->info, scale, scale, x - left, 0, static_cast<int>(character), &width, &rows, &x_offset, &y_offset);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < width; ++column) {
      const float opacity = static_cast<float>(coverage[row * width + column]) / 255;
      if (opacity > 0) {
        canvas.blend(static_cast<int>(left) + x_offset + column, static_cast<int>(baseline) + y_offset + row, color,
                     opacity);
      }
    }
  }
  stbtt_FreeBitmap(coverage, nullptr);
}

}  // namespace florence2
