// From the model's decoded text to things with coordinates, by linear scanners instead of the references' regular
// expressions (specification, section 11).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/florence2.hpp"

namespace florence2 {

/// One generated token as it stands in the decoded text.
struct TokenSpan {
  std::size_t begin = 0, end = 0;  ///< bytes of the text
  float log_prob = 0;
};

/// parse_answer plus a score for every item: exp(mean log-probability of the tokens that overlap the item's label and
/// location tags; for an item that shares its label with others, its own tags alone). `tokens` covers `text` in order.
Answer parse_answer_scored(AnswerKind kind, Task task, std::string_view text, int width, int height, Compat compat,
                           std::span<const TokenSpan> tokens);

}  // namespace florence2
