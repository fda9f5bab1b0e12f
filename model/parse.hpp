// From the model's decoded text to things with coordinates, by linear scanners instead of the references' regular
// expressions (specification, section 11).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "model/florence2.hpp"

namespace florence2 {

/// How text becomes an answer. The default is what an unknown task gets: text.
struct AnswerRules {
  AnswerKind kind = AnswerKind::text;
  bool labelled = true;             ///< a label stands before the locations
  bool skip_empty_phrases = false;  ///< phrase grounding leaves out pronouns and the like
};
/// The default for a value that is no task.
AnswerRules answer_rules(Task task);
/// Such answers are boxes or polygons with labels, which RunOptions::classes can name.
bool takes_classes(const AnswerRules& rules);

/// parse_answer by rules instead of a task. Any text is allowed; time is linear in it. Labels of boxes and polygons are
/// cut at 4,096 bytes.
Answer parse_by_rules(const AnswerRules& rules, std::string_view text, int width, int height, Compat compat);

/// One generated token as it stands in the decoded text.
struct TokenSpan {
  std::size_t begin = 0, end = 0;  ///< bytes of the text
  float log_prob = 0;
};

/// Decoded text and how to read it.
struct DecodedText {
  std::string_view text;
  int width = 0, height = 0;  ///< of the picture
  Compat compat = Compat::none;
};

/// parse_by_rules plus scores of every item: exp of the mean log-probability of the tokens that make up its location
/// tags, as the reference defines it, and of those of its label. `tokens` covers the text in order. Both begin with the
/// start token "</s>", whose log_prob does not count, or with the first generated token. `task`: whose answer it is, if
/// that of a task in the table.
///
/// Compat::ms scores <OD> and <DENSE_REGION_CAPTION> as the reference does, which takes the wrong tokens after text
/// that belongs to no box (specification, section 11.8); an item whose tokens would lie behind the end gets 0.
Answer parse_scored(const AnswerRules& rules, std::optional<Task> task, const DecodedText& decoded,
                    std::span<const TokenSpan> tokens);

}  // namespace florence2
