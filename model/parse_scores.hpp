// Scores of items from the log-probabilities of their tokens.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/parse.hpp"
#include "model/parse_found.hpp"

namespace florence2 {

/// exp(mean log-probability of the tokens that overlap [begin, end)); 0 when there are none. The spans are in order.
float overlap_score(std::span<const TokenSpan> tokens, std::size_t begin, std::size_t end);

/// Boxes with scores as the ms code finds them (specification, section 11.8).
Findings find_boxes_scored_ms(std::string_view text, std::span<const TokenSpan> tokens, const PixelScale& scale);

}  // namespace florence2
