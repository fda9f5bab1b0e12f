// The references' parsers, quirks included (specification, sections 11.3 to 11.7).
#pragma once

#include <cstdint>
#include <string_view>

#include "model/parse_found.hpp"

namespace florence2 {

/// True for what phrase grounding never answers: pronouns and empty words, exactly as listed in section 11.5.
bool is_empty_phrase(std::string_view label);

/// Boxes from label + groups of four locations; labels lose all that is not ASCII. `labelled` false: groups alone,
/// empty labels. `skip_empty_phrases`: phrase grounding.
Findings find_boxes(std::string_view text, const PixelScale& scale, bool labelled, bool skip_empty_phrases);

/// Quadrilaterals from label + eight locations. `stripped`: labels lose white space at both ends (hf).
Findings find_quads(std::string_view text, const PixelScale& scale, bool stripped);

/// One item an instance. `leftover`: the tag that the reference removes in front of a label, "<loc_N>" (hf) or
/// "loc_N>" (ms).
enum class LeftoverTag : std::uint8_t { whole, tail };
Findings find_polygons(std::string_view text, const PixelScale& scale, bool labelled, LeftoverTag leftover);

}  // namespace florence2
