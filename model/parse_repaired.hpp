// The parser of Compat::none: the references' answers without their accidents (README, "Post-processing").
#pragma once

#include <string_view>

#include "model/parse.hpp"
#include "model/parse_found.hpp"

namespace florence2 {

/// Items of any kind but text. Labels are whole Unicode text without special tokens, an inner line break kept; every
/// label names the location groups up to the next text. Corners of boxes are in order, exact repeats are left out.
/// Groups of fewer than four locations (eight for a quad, four for a polygon) are counted as incomplete.
Findings find_repaired(const AnswerRules& rules, std::string_view text, const PixelScale& scale);

}  // namespace florence2
