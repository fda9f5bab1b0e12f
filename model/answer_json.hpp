// An answer as JSON.
#pragma once

#include "core/json.hpp"
#include "model/florence2.hpp"

namespace florence2 {

/// The reference's own shape: a string, {bboxes, labels}, {quad_boxes, labels}, {polygons, labels} or {bboxes,
/// bboxes_labels, polygons, polygons_labels}. Coordinates are flat lists, x before y; integers for hf, floats
/// otherwise.
json::Value answer_json(const Answer& answer, Compat compat);

/// The same, one object an item: label, one of box, quad and polygons, score and label_score (0 where none is known).
json::Value items_json(const Answer& answer, Compat compat);

}  // namespace florence2
