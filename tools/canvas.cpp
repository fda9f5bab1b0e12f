#include "tools/canvas.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/image.hpp"

namespace florence2 {
namespace {

constexpr int kSubRows = 5;  // samples of a pixel from top to bottom; from left to right coverage is exact

struct Crossing {
  float x = 0;
  int direction = 0;
};

/// Where the horizontal line at `y` meets the contours, from left to right.
void find_crossings(std::span<const Contour> contours, float y, std::vector<Crossing>& crossings) {
  crossings.clear();
  for (const Contour& contour : contours) {
    for (std::size_t i = 0; i < contour.size(); ++i) {
      const Point a = contour[i], b = contour[(i + 1) % contour.size()];
      if ((a.y <= y) == (b.y <= y)) continue;
      crossings.push_back({a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x), a.y < b.y ? 1 : -1});
    }
  }
  std::sort(crossings.begin(), crossings.end(), [](const Crossing& a, const Crossing& b) { return a.x < b.x; });
}

/// coverage[x] += share of pixel x that lies in [left, right), times `weight`.
void add_span(std::vector<float>& coverage, float left, float right, float weight) {
  left = std::clamp(left, 0.0f, static_cast<float>(coverage.size()));
  right = std::clamp(right, 0.0f, static_cast<float>(coverage.size()));
  for (auto x = static_cast<std::size_t>(left); static_cast<float>(x) < right; ++x) {
    const float begin = std::max(left, static_cast<float>(x));
    const float end = std::min(right, static_cast<float>(x) + 1);
    coverage[x] += weight * (end - begin);
  }
}

/// The four corners of a segment drawn `radius` thick to each side, and the disc around a point; both
/// counter-clockwise.
Contour segment(Point a, Point b, float radius) {
  const float length = std::hypot(b.x - a.x, b.y - a.y);
  const float dx = (b.x - a.x) / length * radius, dy = (b.y - a.y) / length * radius;
  return {{a.x - dy, a.y + dx}, {b.x - dy, b.y + dx}, {b.x + dy, b.y - dx}, {a.x + dy, a.y - dx}};
}
Contour disc(Point centre, float radius) {
  const int corners = std::clamp(static_cast<int>(radius * 3), 8, 48);
  Contour contour;
  for (int i = 0; i < corners; ++i) {
    const float angle = -2 * std::numbers::pi_v<float> * static_cast<float>(i) / static_cast<float>(corners);
    contour.push_back({centre.x + radius * std::cos(angle), centre.y + radius * std::sin(angle)});
  }
  return contour;
}

}  // namespace

Canvas::Canvas(int width, int height, Color background) : width_(width) { extend(height, background); }

Canvas::Canvas(const ImageView& image, int scale)
    : width_(image.width * scale), height_(image.height * scale), rgb_(resize_bicubic(image, width_, height_)) {}

void Canvas::extend(int rows, Color color) {
  height_ += rows;
  rgb_.reserve(std::size_t{3} * width_ * height_);
  for (std::size_t i = std::size_t{1} * width_ * rows; i > 0; --i) rgb_.insert(rgb_.end(), {color.r, color.g, color.b});
}

void Canvas::blend(int x, int y, Color color, float opacity) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
  std::uint8_t* pixel = &rgb_[(static_cast<std::size_t>(y) * width_ + x) * 3];
  const std::uint8_t channels[3] = {color.r, color.g, color.b};
  for (int c = 0; c < 3; ++c) {
    const float mixed = static_cast<float>(pixel[c]) + opacity * static_cast<float>(channels[c] - pixel[c]);
    pixel[c] = static_cast<std::uint8_t>(std::lround(std::clamp(mixed, 0.0f, 255.0f)));
  }
}

void Canvas::fill(std::span<const Contour> contours, Color color, float opacity) {
  float top = static_cast<float>(height_), bottom = 0;
  for (const Contour& contour : contours) {
    for (const Point& point : contour) {
      top = std::min(top, point.y);
      bottom = std::max(bottom, point.y);
    }
  }
  const int first = static_cast<int>(std::max(top, 0.0f));
  const int last = static_cast<int>(std::min(std::ceil(bottom), static_cast<float>(height_)));
  std::vector<float> coverage(static_cast<std::size_t>(width_));
  std::vector<Crossing> crossings;
  for (int y = first; y < last; ++y) {
    std::fill(coverage.begin(), coverage.end(), 0.0f);
    for (int sub = 0; sub < kSubRows; ++sub) {
      find_crossings(contours, static_cast<float>(y) + (static_cast<float>(sub) + 0.5f) / kSubRows, crossings);
      int winding = 0;
      for (std::size_t i = 0; i + 1 < crossings.size(); ++i) {
        winding += crossings[i].direction;
        if (winding != 0) add_span(coverage, crossings[i].x, crossings[i + 1].x, 1.0f / kSubRows);
      }
    }
    for (int x = 0; x < width_; ++x) {
      if (coverage[x] > 0) blend(x, y, color, opacity * std::min(coverage[x], 1.0f));
    }
  }
}

void Canvas::stroke(std::span<const Point> contour, bool closed, float thickness, Color color, float opacity) {
  const float radius = thickness / 2;
  std::vector<Contour> parts;
  for (std::size_t i = 0; i < contour.size(); ++i) {
    parts.push_back(disc(contour[i], radius));
    const std::size_t next = (i + 1) % contour.size();
    const bool same = contour[i].x == contour[next].x && contour[i].y == contour[next].y;
    if (!same && (closed || next != 0)) parts.push_back(segment(contour[i], contour[next], radius));
  }
  fill(parts, color, opacity);
}

}  // namespace florence2
