// Which tokens may follow in a well-formed answer: labels, complete location groups with ordered corners, closed
// outlines, and nothing that the length limit would cut. Labels may be limited to a list.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "model/label_trie.hpp"
#include "model/parse.hpp"
#include "tokenizer/tokenizer.hpp"

namespace florence2 {

/// Token ids begin ≤ id < end.
struct IdRange {
  std::int32_t begin = 0, end = 0;
};

/// Where a sequence stands. Of boxes and quads a group has 4 or 8 locations; an outline has 3 or more points.
struct GrammarState {
  /// Only at the start, once, a <s> may follow.
  enum class Phase : std::uint8_t { start, begun, label, group, closed, outline, outlined, ended };
  Phase phase = Phase::start;
  bool in_poly = false;        // between <poly> and </poly>
  bool has_groups = false;     // an answer has either boxes or outlines,
  bool has_outlines = false;   // never both
  std::int32_t locations = 0;  // of the open group or outline
  std::int32_t x0 = 0, y0 = 0;
  std::int32_t node = LabelTrie::kRoot;  // of the label so far
};

/// Immutable; shared by all sequences of a search.
class AnswerGrammar {
 public:
  /// For answers by `rules`, whose kind is not text. `labels`: the only ones allowed; empty: any. Labels never hold '<'
  /// or a line break, so that no parser takes them for something else.
  AnswerGrammar(const AnswerRules& rules, const Tokenizer& tokenizer, LabelTrie labels = {});

  /// Replaces `ranges` (ascending, disjoint, never empty) by what may follow when `room` more tokens, this one
  /// included, may be chosen before the end.
  void allowed(const GrammarState& state, int room, std::vector<IdRange>& ranges) const;
  /// After a token that was allowed.
  GrammarState next(GrammarState state, std::int32_t token) const;
  /// After the token that the generation rules forced at the start, whichever it is: it stands where <s> does, and is
  /// no part of the answer's form.
  GrammarState after_forced() const { return {.phase = Phase::begun}; }
  /// Inside one of the listed labels repeated n-grams must be allowed, or a label could not be used twice.
  bool repeats_freely(const GrammarState& state) const {
    return state.phase == GrammarState::Phase::label && !labels_.empty();
  }

 private:
  using Phase = GrammarState::Phase;
  using Ranges = std::vector<IdRange>;

  bool outlines(const GrammarState& state) const;
  bool groups(const GrammarState& state) const;
  int label_end(std::int32_t node) const { return labels_.empty() ? 0 : labels_.to_end(node); }
  /// Tokens of the shortest shape that may begin in `state`.
  int least_shape(const GrammarState& state) const;
  void add_location(Ranges& ranges, std::int32_t least = 0) const;
  void add_shape(const GrammarState& state, int room, Ranges& ranges) const;
  void add_label(const GrammarState& state, int room, Ranges& ranges) const;
  void add_next_location(const GrammarState& state, Ranges& ranges) const;
  void add_in_outline(const GrammarState& state, int room, Ranges& ranges) const;
  void add_new_item(const GrammarState& state, int room, Ranges& ranges) const;
  GrammarState after_location(GrammarState state, std::int32_t bin) const;

  AnswerRules rules_;
  LabelTrie labels_;
  int group_size_;
  std::int32_t bos_, eos_, location_base_, separator_, poly_begin_, poly_end_;
  Ranges text_, label_start_;  // ordinary tokens; those that may begin a label
};

}  // namespace florence2
