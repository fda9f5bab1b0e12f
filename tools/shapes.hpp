// What the formats ask of an item, whatever its shape.
#pragma once

#include <string>

#include "model/florence2.hpp"
#include "tools/run_settings.hpp"

namespace florence2 {

/// The smallest upright box around an item; all zero for an outline without points.
Box bounds(const Item& item);

/// The outline of a box or quad, or the parts of an outline, clockwise from the top left where there is a choice.
Polygons outlines(const Item& item);

/// "box", "quad" or "polygons", as the JSON names shapes.
std::string_view shape_name(const Item& item);

/// The class of an item in formats that have classes: "text" for a quad (its label is what is written there), else the
/// label, else the phrase that was asked for, else "object".
std::string class_name(const Job& job, const Item& item);

/// The fewest digits that read back as the same float.
std::string number_text(float value);

}  // namespace florence2
