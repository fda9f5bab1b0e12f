// How far two short names are apart, for "did you mean".
#pragma once

#include <cstddef>
#include <string_view>

namespace florence2 {

/// Levenshtein distance in bytes: insertions, deletions and substitutions cost 1. Time is the product of the lengths.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace florence2
