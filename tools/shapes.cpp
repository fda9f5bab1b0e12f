#include "tools/shapes.hpp"

#include <algorithm>

#include "core/json.hpp"

namespace florence2 {

Box bounds(const Item& item) {
  if (const Box* box = std::get_if<Box>(&item.shape)) return *box;
  Box box;
  bool first = true;
  for (const auto& outline : outlines(item)) {
    for (const Point& point : outline) {
      if (first) box = {point.x, point.y, point.x, point.y};
      first = false;
      box = {std::min(box.x0, point.x), std::min(box.y0, point.y), std::max(box.x1, point.x),
             std::max(box.y1, point.y)};
    }
  }
  return box;
}

Polygons outlines(const Item& item) {
  if (const Box* box = std::get_if<Box>(&item.shape)) {
    return {{{box->x0, box->y0}, {box->x1, box->y0}, {box->x1, box->y1}, {box->x0, box->y1}}};
  }
  if (const Quad* quad = std::get_if<Quad>(&item.shape)) return {{quad->begin(), quad->end()}};
  return std::get<Polygons>(item.shape);
}

std::string_view shape_name(const Item& item) {
  if (std::holds_alternative<Box>(item.shape)) return "box";
  return std::holds_alternative<Quad>(item.shape) ? "quad" : "polygons";
}

std::string class_name(const Job& job, const Item& item) {
  if (std::holds_alternative<Quad>(item.shape)) return "text";
  if (!item.label.empty()) return item.label;
  const bool asked = job.input() == TaskInput::text && !job.text.empty();
  return asked ? job.text : "object";
}

std::string number_text(float value) { return json::dump(value); }

}  // namespace florence2
