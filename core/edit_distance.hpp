// How far two short texts are apart.
#pragma once

#include <cstddef>
#include <string_view>

namespace florence2 {

/// Levenshtein distance in bytes: insertions, deletions and substitutions cost 1. Time is the product of the lengths.
std::size_t edit_distance(std::string_view a, std::string_view b);
/// The same in characters.
std::size_t edit_distance(std::u32string_view a, std::u32string_view b);

}  // namespace florence2
