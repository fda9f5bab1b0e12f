#include "tools/labels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/utf8.hpp"

namespace florence2 {
namespace {

Box bounds(std::span<const Contour> contours) {
  constexpr float kFar = std::numeric_limits<float>::max();
  Box box{kFar, kFar, -kFar, -kFar};
  for (const Contour& contour : contours) {
    for (const Point& point : contour) {
      box = {std::min(box.x0, point.x), std::min(box.y0, point.y), std::max(box.x1, point.x),
             std::max(box.y1, point.y)};
    }
  }
  return box;
}

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

Contour rectangle(const Box& box) { return {{box.x0, box.y0}, {box.x0, box.y1}, {box.x1, box.y1}, {box.x1, box.y0}}; }

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

void Labels::add(std::span<const Contour> contours, Align align, std::string text, Color color) {
  if (text.empty() || contours.empty()) return;
  const float padding = std::round(font_.height() / 5);
  const float picture_width = static_cast<float>(canvas_.width());
  const float room = std::min(picture_width, std::max(picture_width / 2, 14 * font_.height())) - 2 * padding;
  if (font_.width(text) > room) text = fit(font_, text, room - font_.width("...")) + "...";
  const Box thing = bounds(contours);
  const Box plate = place(thing, align, font_.width(text) + 2 * padding, font_.height());
  const Contour outline = rectangle(plate);
  canvas_.stroke(outline, true, font_.height() / 8, {0, 0, 0}, 0.45f);
  canvas_.fill({&outline, 1}, color, 1);
  font_.draw(canvas_, plate.x0 + padding, plate.y0, text, text_color(color));
  placed_.push_back(plate);
}

Box Labels::place(const Box& thing, Align align, float width, float height) const {
  const float line = font_.height() / 14;  // half of an outline
  const float left = align == Align::left ? thing.x0 - line : (thing.x0 + thing.x1 - width) / 2;
  const float right = thing.x1 + line - width;
  const Point corners[] = {{left, thing.y0 - height}, {left, thing.y1},          {right, thing.y0 - height},
                           {right, thing.y1},         {left, thing.y0 - line},   {right, thing.y0 - line},
                           {left, thing.y1 - height}, {right, thing.y1 - height}};
  const float largest_x = std::max(0.0f, static_cast<float>(canvas_.width()) - width);
  const float largest_y = std::max(0.0f, static_cast<float>(canvas_.height()) - height);
  Box best;
  float best_cost = std::numeric_limits<float>::max();
  for (const Point& corner : corners) {
    const float x = std::clamp(corner.x, 0.0f, largest_x), y = std::clamp(corner.y, 0.0f, largest_y);
    const Box plate{std::round(x), std::round(y), std::round(x) + width, std::round(y) + height};
    float cost = std::abs(y - corner.y) * height + 0.3f * overlap({x, y, x + width, y + height}, thing);
    for (const Box& other : placed_) cost += 4 * overlap(plate, other);
    if (cost < best_cost) {
      best_cost = cost;
      best = plate;
    }
  }
  return best;
}

}  // namespace florence2
