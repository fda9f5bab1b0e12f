#include "tools/draw.hpp"

#include <algorithm>
#include <cmath>

#include "tools/font.hpp"
#include "tools/scene.hpp"

namespace florence2 {
namespace {

constexpr Color kBlack = {0, 0, 0}, kWhite = {255, 255, 255}, kStripText = {32, 32, 32};
constexpr float kBorderOpacity = 0.45f, kFillOpacity = 0.4f;
constexpr int kReadableSide = 720;   // pictures are enlarged until the longer side has so many pixels
constexpr int kReadableWidth = 240;  // and the shorter side so many, for labels have to fit
constexpr int kLargestScale = 32, kLargestSide = 8192;

/// Outlines in the colour of the thing on a darker border, which shows on any background.
void paint(Canvas& canvas, const Mark& mark, float line) {
  if (mark.filled) canvas.fill(mark.outlines, mark.color, kFillOpacity);
  for (const Contour& contour : mark.outlines) canvas.stroke(contour, true, line * 2, kBlack, kBorderOpacity);
  for (const Contour& contour : mark.outlines) canvas.stroke(contour, true, line, mark.color, 1);
}

void paint(Canvas& canvas, const Plate& plate, const Font& font) {
  const float x = std::round(plate.box.x0), y = std::round(plate.box.y0), padding = font.height() / 5;
  const float right = x + plate.box.x1 - plate.box.x0, bottom = y + plate.box.y1 - plate.box.y0;
  const Contour outline = {{x, y}, {x, bottom}, {right, bottom}, {right, y}};
  canvas.stroke(outline, true, font.height() / 8, kBlack, kBorderOpacity);
  canvas.fill({&outline, 1}, plate.color, 1);
  font.draw(canvas, x + std::round(padding), y, plate.text, plate.text_color);
}

void paint_strip(Canvas& canvas, const Scene& scene, const Font& font) {
  if (scene.strip.empty()) return;
  float y = static_cast<float>(canvas.height()) + strip_margin(scene);
  canvas.extend(static_cast<int>(strip_height(scene)), kWhite);
  for (const std::string& line : scene.strip) {
    font.draw(canvas, strip_margin(scene), y, line, kStripText);
    y += font.height();
  }
}

void enlarge(Box& box, float scale) { box = {box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale}; }

/// The answer in pixels of a picture `scale` times as large.
Answer enlarged(Answer answer, float scale) {
  for (Item& item : answer.items) {
    if (Box* box = std::get_if<Box>(&item.shape)) enlarge(*box, scale);
    if (Quad* quad = std::get_if<Quad>(&item.shape)) {
      for (Point& point : *quad) point = {point.x * scale, point.y * scale};
    }
    if (Polygons* polygons = std::get_if<Polygons>(&item.shape)) {
      for (auto& polygon : *polygons) {
        for (Point& point : polygon) point = {point.x * scale, point.y * scale};
      }
    }
  }
  return answer;
}

}  // namespace

int enlargement(int width, int height) {
  const auto times = [](int wanted, int side) { return (wanted + side - 1) / side; };
  const int longer = std::max(width, height), shorter = std::min(width, height);
  const int for_labels = std::min(times(kReadableWidth, shorter), kLargestSide / longer);
  return std::clamp(std::max(times(kReadableSide, longer), for_labels), 1, kLargestScale);
}

Canvas draw_answer(const ImageView& image, const Answer& answer, const std::optional<Box>& region) {
  const int scale = enlargement(image.width, image.height);
  Canvas canvas(image, scale);
  SceneOptions options{.region = region};
  if (options.region) enlarge(*options.region, static_cast<float>(scale));
  const Scene scene = make_scene(canvas.width(), canvas.height(), enlarged(answer, static_cast<float>(scale)), options);
  const Font font(scene.text_height);
  for (const Mark& mark : scene.marks) paint(canvas, mark, scene.line);
  for (const Plate& plate : scene.plates) paint(canvas, plate, font);
  paint_strip(canvas, scene, font);
  return canvas;
}

}  // namespace florence2
