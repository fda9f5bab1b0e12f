// Answers for people.
#pragma once

#include <string>
#include <string_view>

#include "model/florence2.hpp"

namespace florence2 {

/// The text of a text task without the location tokens that region tasks put behind it.
std::string readable_text(std::string_view text);

/// Text with its line breaks, otherwise printable().
std::string printable_text(std::string_view text);

/// Words with places as plain text, a line each (text_lines()); other answers as answer_text().
std::string answer_lines(const Answer& answer);

/// Text tasks: the readable text. Others: an aligned table with a line for each thing: label, corners of its box (of
/// the box around it for outlines), number of points of an outline, score. Ends with a newline.
std::string answer_text(const Answer& answer);

}  // namespace florence2
