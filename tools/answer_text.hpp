// Answers for people.
#pragma once

#include <string>

#include "model/florence2.hpp"

namespace florence2 {

/// Text tasks: the text. Others: an aligned table with a line for each thing: label, corners of its box (of the box
/// around it for outlines), number of points of an outline, score. Ends with a newline.
std::string answer_text(const Answer& answer);

}  // namespace florence2
