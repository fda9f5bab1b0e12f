// Reading order of OCR items: the page is cut into columns and blocks as long as blank space allows (recursive X-Y cut,
// Nagy and Seth 1984), and what is left is gathered into lines by vertical overlap.
#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "model/florence2.hpp"

namespace florence2 {
namespace {

/// A column's items are this many times as wide as high; narrower ones are cells of a table, read line by line.
constexpr float kLeastAspect = 4;
constexpr float kLeastGap = 1;         // between columns, in heights of a line
constexpr float kLeastOverlap = 0.5f;  // of the lower of two items on one line

struct Region {
  Box box;
  int item = 0;

  float height() const { return box.y1 - box.y0; }
  float width() const { return box.x1 - box.x0; }
};
using Regions = std::vector<Region>;

Box around(std::span<const Point> points) {
  Box box{points[0].x, points[0].y, points[0].x, points[0].y};
  for (const Point& point : points) {
    box = {std::min(box.x0, point.x), std::min(box.y0, point.y), std::max(box.x1, point.x), std::max(box.y1, point.y)};
  }
  return box;
}

Box around(const Item& item) {
  if (const auto* box = std::get_if<Box>(&item.shape)) return *box;
  if (const auto* quad = std::get_if<Quad>(&item.shape)) return around(*quad);
  std::vector<Point> points;
  for (const auto& polygon : std::get<Polygons>(item.shape)) {
    points.insert(points.end(), polygon.begin(), polygon.end());
  }
  return points.empty() ? Box{} : around(points);
}

Box joined(const Box& a, const Box& b) {
  return {std::min(a.x0, b.x0), std::min(a.y0, b.y0), std::max(a.x1, b.x1), std::max(a.y1, b.y1)};
}

float typical_height(const Regions& regions) {
  std::vector<float> heights;
  for (const Region& region : regions) heights.push_back(region.height());
  const auto middle = heights.begin() + static_cast<std::ptrdiff_t>(heights.size() / 2);
  std::nth_element(heights.begin(), middle, heights.end());
  return *middle;
}

/// Begin and end of a region along one axis.
using Extent = std::pair<float, float> (*)(const Box&);
std::pair<float, float> horizontal(const Box& box) { return {box.x0, box.x1}; }
std::pair<float, float> vertical(const Box& box) { return {box.y0, box.y1}; }

/// Blank space along an axis, and how many of the sorted regions lie before it.
struct Gap {
  float size = 0;
  std::size_t before = 0;
};

/// Sorts along the axis and returns the gaps from one end to the other.
std::vector<Gap> gaps_along(Regions& regions, Extent extent) {
  std::stable_sort(regions.begin(), regions.end(),
                   [extent](const Region& a, const Region& b) { return extent(a.box).first < extent(b.box).first; });
  std::vector<Gap> gaps;
  float end = extent(regions.front().box).second;
  for (std::size_t i = 1; i < regions.size(); ++i) {
    const auto [first, last] = extent(regions[i].box);
    if (first > end) gaps.push_back({first - end, i});
    end = std::max(end, last);
  }
  return gaps;
}

std::optional<Gap> widest(const std::vector<Gap>& gaps) {
  const auto found =
      std::max_element(gaps.begin(), gaps.end(), [](const Gap& a, const Gap& b) { return a.size < b.size; });
  return found == gaps.end() ? std::nullopt : std::optional(*found);
}

bool is_column(std::span<const Region> regions) {
  float width = 0, height = 0;
  for (const Region& region : regions) {
    width += region.width();
    height += region.height();
  }
  return regions.size() >= 2 && width >= kLeastAspect * height;
}

/// Lines from top to bottom, each from left to right.
void gather_lines(Regions regions, std::vector<Regions>& lines) {
  std::stable_sort(regions.begin(), regions.end(),
                   [](const Region& a, const Region& b) { return a.box.y0 + a.box.y1 < b.box.y0 + b.box.y1; });
  const std::size_t first = lines.size();
  for (const Region& region : regions) {
    const bool begins = lines.size() == first || [&] {
      const Box& last = lines.back().back().box;
      const float overlap = std::min(last.y1, region.box.y1) - std::max(last.y0, region.box.y0);
      return overlap < kLeastOverlap * std::min(last.y1 - last.y0, region.height());
    }();
    if (begins) lines.emplace_back();
    lines.back().push_back(region);
  }
  for (std::size_t i = first; i < lines.size(); ++i) {
    std::stable_sort(lines[i].begin(), lines[i].end(),
                     [](const Region& a, const Region& b) { return a.box.x0 < b.box.x0; });
  }
}

/// Cuts at the widest gap between columns, else at the widest gap between blocks; reads both parts in turn. A loop over
/// a stack of parts: a page may hold a thousand lines.
std::vector<Regions> read(Regions page) {
  std::vector<Regions> lines, parts;
  parts.push_back(std::move(page));
  while (!parts.empty()) {
    Regions part = std::move(parts.back());
    parts.pop_back();
    std::optional<Gap> cut = widest(gaps_along(part, horizontal));
    const std::span<const Region> all(part);
    const bool columns = cut && cut->size >= kLeastGap * typical_height(part) && is_column(all.first(cut->before)) &&
                         is_column(all.subspan(cut->before));
    if (!columns) cut = widest(gaps_along(part, vertical));
    if (!cut) {
      gather_lines(std::move(part), lines);
      continue;
    }
    const auto middle = part.begin() + static_cast<std::ptrdiff_t>(cut->before);
    parts.emplace_back(middle, part.end());
    parts.emplace_back(part.begin(), middle);
  }
  return lines;
}

TextLine line_of(const Regions& regions, std::span<const Item> items) {
  TextLine line{{}, {}, regions.front().box, std::numeric_limits<float>::infinity()};
  for (const Region& region : regions) {
    const Item& item = items[static_cast<std::size_t>(region.item)];
    if (!line.text.empty()) line.text += ' ';
    line.text += item.label;
    line.items.push_back(region.item);
    line.box = joined(line.box, region.box);
    line.score = std::min(line.score, item.label_score);
  }
  return line;
}

}  // namespace

std::vector<TextLine> text_lines(std::span<const Item> items) {
  if (items.empty()) return {};
  Regions page;
  for (std::size_t i = 0; i < items.size(); ++i) page.push_back({around(items[i]), static_cast<int>(i)});
  std::vector<TextLine> lines;
  for (const Regions& regions : read(std::move(page))) lines.push_back(line_of(regions, items));
  return lines;
}

}  // namespace florence2
