#include "tools/draw.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "tools/answer_text.hpp"
#include "tools/font.hpp"
#include "tools/labels.hpp"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace florence2 {
namespace {

// The colours of Okabe and Ito, which people with any kind of colour vision can tell apart; black is kept for outlines.
constexpr Color kPalette[] = {{230, 159, 0}, {86, 180, 233},  {0, 158, 115}, {240, 228, 66},
                              {213, 94, 0},  {204, 121, 167}, {0, 114, 178}};
constexpr Color kBlack = {0, 0, 0}, kWhite = {255, 255, 255}, kStripText = {32, 32, 32};
constexpr int kReadableSide = 720;  // pictures are enlarged until the longer side has so many pixels
constexpr int kLargestScale = 32;

int enlargement(const ImageView& image) {
  const int side = std::max(image.width, image.height);
  return std::clamp((kReadableSide + side - 1) / side, 1, kLargestScale);
}

/// Line height that suits a picture of this size.
float text_height(const Canvas& canvas) {
  const float side = std::sqrt(static_cast<float>(canvas.width()) * static_cast<float>(canvas.height()));
  return std::clamp(side / 34, 15.0f, 160.0f);
}

/// One colour for each label; where labels do not tell things apart, one for each thing.
std::vector<Color> choose_colors(const std::vector<Item>& items) {
  std::map<std::string_view, std::size_t> number;
  for (const Item& item : items) number.try_emplace(item.label, number.size());
  std::vector<Color> colors;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t index = number.size() == 1 ? i : number[items[i].label];
    colors.push_back(kPalette[index % std::size(kPalette)]);
  }
  return colors;
}

/// The outlines of a shape in canvas pixels.
std::vector<Contour> contours_of(const Item& item, float scale) {
  std::vector<Contour> contours;
  if (const Box* box = std::get_if<Box>(&item.shape)) {
    contours = {{{box->x0, box->y0}, {box->x1, box->y0}, {box->x1, box->y1}, {box->x0, box->y1}}};
  } else if (const Quad* quad = std::get_if<Quad>(&item.shape)) {
    contours = {{quad->begin(), quad->end()}};
  } else {
    contours = std::get<Polygons>(item.shape);
  }
  for (Contour& contour : contours) {
    for (Point& point : contour) point = {point.x * scale, point.y * scale};
  }
  return contours;
}

void draw_shape(Canvas& canvas, const Item& item, std::span<const Contour> contours, Color color, float line) {
  if (std::holds_alternative<Polygons>(item.shape)) canvas.fill(contours, color, 0.4f);
  for (const Contour& contour : contours) canvas.stroke(contour, true, line * 2, kBlack, 0.45f);
  for (const Contour& contour : contours) canvas.stroke(contour, true, line, color, 1);
}

std::string caption_of(const Item& item) {
  if (item.score <= 0) return item.label;
  char score[16];
  std::snprintf(score, sizeof(score), "%.2f", static_cast<double>(item.score));
  return item.label.empty() ? score : item.label + " " + score;
}

void draw_items(Canvas& canvas, const std::vector<Item>& items, int scale) {
  const Font font(text_height(canvas));
  const float line = font.height() / 7;
  const std::vector<Color> colors = choose_colors(items);
  std::vector<std::vector<Contour>> contours;
  for (std::size_t i = 0; i < items.size(); ++i) {
    contours.push_back(contours_of(items[i], static_cast<float>(scale)));
    draw_shape(canvas, items[i], contours.back(), colors[i], line);
  }
  Labels labels(canvas, font);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool outline = std::holds_alternative<Polygons>(items[i].shape);
    labels.add(contours[i], outline ? Labels::Align::middle : Labels::Align::left, caption_of(items[i]), colors[i]);
  }
}

/// Splits at spaces (inside words that are too long) so that every line fits.
std::vector<std::string> wrap(const Font& font, std::string_view text, float width) {
  std::vector<std::string> lines(1);
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t space = rest.find_first_of(" \n");
    std::string word(rest.substr(0, space));
    const bool line_break = space != std::string_view::npos && rest[space] == '\n';
    rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    if (!lines.back().empty() && font.width(lines.back() + " " + word) > width) lines.emplace_back();
    for (std::string piece; font.width(word) > width; word.erase(0, piece.size())) {
      piece = fit(font, word, width);
      if (piece.empty()) return lines;  // not even one character fits
      lines.back() = piece;
      lines.emplace_back();
    }
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    if (line_break) lines.emplace_back();
  }
  return lines;
}

void draw_strip(Canvas& canvas, std::string_view text) {
  const Font font(text_height(canvas) * 1.1f);
  const float margin = font.height() / 2;
  const auto lines = wrap(font, text, static_cast<float>(canvas.width()) - 2 * margin);
  float y = static_cast<float>(canvas.height()) + margin;
  canvas.extend(static_cast<int>(2 * margin + font.height() * static_cast<float>(lines.size())), kWhite);
  for (const std::string& line : lines) {
    font.draw(canvas, margin, y, line, kStripText);
    y += font.height();
  }
}

}  // namespace

Canvas draw_answer(const ImageView& image, const Answer& answer, const std::optional<Box>& region) {
  const int scale = enlargement(image);
  Canvas canvas(image, scale);
  if (region) draw_items(canvas, {Item{.label = {}, .shape = *region, .score = 0}}, scale);
  draw_items(canvas, answer.items, scale);
  if (answer.kind == AnswerKind::text && !answer.text.empty()) draw_strip(canvas, readable_text(answer.text));
  return canvas;
}

Result<std::string> encode_png(const Canvas& canvas) {
  std::string png;
  const auto append = [](void* context, void* data, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  const int row_bytes = canvas.width() * 3;
  if (stbi_write_png_to_func(append, &png, canvas.width(), canvas.height(), 3, canvas.rgb().data(), row_bytes) == 0) {
    return Error{ErrorCode::memory, "out of memory while writing the PNG file", {}};
  }
  return png;
}

}  // namespace florence2
