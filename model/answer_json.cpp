#include "model/answer_json.hpp"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

namespace florence2 {
namespace {

json::Value number_json(float value, Compat compat) {
  if (compat != Compat::hf) return value;
  constexpr float kLargest = 0x1.fffffep62f;  // floats beyond do not fit 64 bits
  return static_cast<std::int64_t>(std::clamp(value, -kLargest, kLargest));
}

json::Value points_json(std::span<const Point> points, Compat compat) {
  json::Array numbers;
  for (const Point& point : points) {
    numbers.push_back(number_json(point.x, compat));
    numbers.push_back(number_json(point.y, compat));
  }
  return numbers;
}

json::Value shape_json(const Item& item, Compat compat) {
  if (const auto* box = std::get_if<Box>(&item.shape)) {
    const Point corners[] = {{box->x0, box->y0}, {box->x1, box->y1}};
    return points_json(corners, compat);
  }
  if (const auto* quad = std::get_if<Quad>(&item.shape)) return points_json(*quad, compat);
  json::Array polygons;
  for (const auto& polygon : std::get<Polygons>(item.shape)) polygons.push_back(points_json(polygon, compat));
  return polygons;
}

std::string_view shape_name(const Item& item) {
  if (std::holds_alternative<Box>(item.shape)) return "box";
  return std::holds_alternative<Quad>(item.shape) ? "quad" : "polygons";
}

/// Appends "<shapes>": […], "<labels>": […] of the items whose shape is a Shape.
template <typename Shape>
void append_columns(const Answer& answer, Compat compat, std::string_view shapes, std::string_view labels,
                    json::Object& object) {
  json::Array shape_column, label_column;
  for (const Item& item : answer.items) {
    if (!std::holds_alternative<Shape>(item.shape)) continue;
    shape_column.push_back(shape_json(item, compat));
    label_column.emplace_back(item.label);
  }
  object.emplace_back(shapes, std::move(shape_column));
  object.emplace_back(labels, std::move(label_column));
}

}  // namespace

json::Value answer_json(const Answer& answer, Compat compat) {
  json::Object object;
  switch (answer.kind) {
    case AnswerKind::text:
      return answer.text;
    case AnswerKind::boxes:
      append_columns<Box>(answer, compat, "bboxes", "labels", object);
      break;
    case AnswerKind::quads:
      append_columns<Quad>(answer, compat, "quad_boxes", "labels", object);
      break;
    case AnswerKind::polygons:
      append_columns<Polygons>(answer, compat, "polygons", "labels", object);
      break;
    case AnswerKind::boxes_or_polygons:
      append_columns<Box>(answer, compat, "bboxes", "bboxes_labels", object);
      append_columns<Polygons>(answer, compat, "polygons", "polygons_labels", object);
      break;
  }
  return object;
}

json::Value items_json(const Answer& answer, Compat compat) {
  json::Array items;
  for (const Item& item : answer.items) {
    items.emplace_back(json::Object{{"label", item.label},
                                    {std::string(shape_name(item)), shape_json(item, compat)},
                                    {"score", item.score},
                                    {"label_score", item.label_score}});
  }
  return items;
}

}  // namespace florence2
