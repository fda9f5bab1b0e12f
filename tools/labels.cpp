#include "tools/labels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/utf8.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

float overlap(const Box& a, const Box& b) {
  const float width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  const float height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  return width > 0 && height > 0 ? width * height : 0;
}

/// Black or white, whichever contrasts more (relative luminance as in sRGB).
Color text_color(Color background) {
  const auto linear = [](std::uint8_t channel) { return std::pow(static_cast<float>(channel) / 255, 2.2f); };
  const float luminance =
      0.2126f * linear(background.r) + 0.7152f * linear(background.g) + 0.0722f * linear(background.b);
  return luminance > 0.18f ? Color{0, 0, 0} : Color{255, 255, 255};
}

Box place(const Scene& scene, const Box& thing, bool middle, float width) {
  const float height = scene.text_height, line = scene.line / 2;
  const float left = middle ? (thing.x0 + thing.x1 - width) / 2 : thing.x0 - line;
  const float right = thing.x1 + line - width;
  const Point corners[] = {{left, thing.y0 - height}, {left, thing.y1},          {right, thing.y0 - height},
                           {right, thing.y1},         {left, thing.y0 - line},   {right, thing.y0 - line},
                           {left, thing.y1 - height}, {right, thing.y1 - height}};
  const float largest_x = std::max(0.0f, static_cast<float>(scene.width) - width);
  const float largest_y = std::max(0.0f, static_cast<float>(scene.height) - height);
  Box best;
  float best_cost = std::numeric_limits<float>::max();
  for (const Point& corner : corners) {
    const float x = std::clamp(corner.x, 0.0f, largest_x), y = std::clamp(corner.y, 0.0f, largest_y);
    const Box box{x, y, x + width, y + height};
    float cost = std::abs(y - corner.y) * height + 0.3f * overlap(box, thing);
    for (const Plate& other : scene.plates) cost += 4 * overlap(box, other.box);
    if (cost < best_cost) {
      best_cost = cost;
      best = box;
    }
  }
  return best;
}

}  // namespace

std::string fit(const Font& font, std::string_view text, float width) {
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const std::size_t next = bytes + utf8_step(text.substr(bytes)).size;
    if (font.width(text.substr(0, next)) > width) break;
    bytes = next;
  }
  return std::string(text.substr(0, bytes));
}

void add_plate(Scene& scene, const Font& font, const Mark& mark, std::string label, const std::string& score) {
  if (label.empty() && score.empty()) return;
  const std::string end = (label.empty() || score.empty() ? "" : " ") + score;
  const float padding = font.height() / 5, picture_width = static_cast<float>(scene.width);
  const float room = std::min(picture_width, std::max(picture_width / 2, 14 * font.height())) - 2 * padding;
  if (font.width(label + end) > room) label = fit(font, label, room - font.width("..." + end)) + "...";
  std::string text = label + end;
  const Box box = place(scene, bounds(mark.item), mark.filled, font.width(text) + 2 * padding);
  scene.plates.push_back({box, std::move(text), mark.color, text_color(mark.color)});
}

}  // namespace florence2
