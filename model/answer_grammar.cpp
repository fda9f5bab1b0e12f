#include "model/answer_grammar.hpp"

#include <algorithm>
#include <utility>

#include "model/unicode_text.hpp"
#include "tokenizer/location.hpp"

namespace florence2 {
namespace {

constexpr int kLeastOutline = 6;  // locations: three points

/// Adds `id`, which is larger than all before.
void append(std::vector<IdRange>& ranges, std::int32_t id) {
  if (!ranges.empty() && ranges.back().end == id) {
    ++ranges.back().end;
  } else {
    ranges.push_back({id, id + 1});
  }
}

}  // namespace

AnswerGrammar::AnswerGrammar(const AnswerRules& rules, const Tokenizer& tokenizer, LabelTrie labels)
    : rules_(rules), labels_(std::move(labels)), group_size_(rules.kind == AnswerKind::quads ? 8 : 4) {
  const auto id_of = [&](std::string_view token) { return tokenizer.id_of(token).value_or(-1); };
  bos_ = id_of("<s>");
  eos_ = id_of("</s>");
  separator_ = id_of("<sep>");
  poly_begin_ = id_of("<poly>");
  poly_end_ = id_of("</poly>");
  location_base_ = tokenizer.location_base();
  for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string_view piece = tokenizer.piece(id);
    if (tokenizer.is_special(id) || piece.empty() || piece.find_first_of("<\n") != piece.npos) continue;
    append(text_, id);
    if (!strip(piece).empty()) append(label_start_, id);
  }
}

bool AnswerGrammar::groups(const GrammarState& state) const {
  return rules_.kind != AnswerKind::polygons && !state.has_outlines;
}

bool AnswerGrammar::outlines(const GrammarState& state) const {
  const bool possible = rules_.kind == AnswerKind::polygons || rules_.kind == AnswerKind::boxes_or_polygons;
  return possible && !state.has_groups;
}

int AnswerGrammar::least_shape(const GrammarState& state) const {
  if (groups(state)) return group_size_;
  return rules_.kind == AnswerKind::polygons ? kLeastOutline : kLeastOutline + 2;
}

void AnswerGrammar::add_location(Ranges& ranges, std::int32_t least) const {
  ranges.push_back({location_base_ + least, location_base_ + kLocationBins});
}

/// The first token of a shape: a location, or <poly>. Among answers of boxes or polygons only <poly> begins an outline.
void AnswerGrammar::add_shape(const GrammarState& state, int room, Ranges& ranges) const {
  const bool bare = rules_.kind == AnswerKind::polygons ? room >= kLeastOutline : groups(state) && room >= group_size_;
  if (bare) add_location(ranges);
  if (outlines(state) && poly_begin_ >= 0 && room >= kLeastOutline + 2)
    ranges.push_back({poly_begin_, poly_begin_ + 1});
}

/// One more token of a label, as long as a shape still fits behind it.
void AnswerGrammar::add_label(const GrammarState& state, int room, Ranges& ranges) const {
  const int spare = room - 1 - least_shape(state);
  const bool begins = state.phase != Phase::label;
  if (labels_.empty()) {
    const Ranges& tokens = begins ? label_start_ : text_;
    if (spare >= 0) ranges.insert(ranges.end(), tokens.begin(), tokens.end());
    return;
  }
  for (const auto& [token, node] : labels_.children(begins ? LabelTrie::kRoot : state.node)) {
    if (spare >= labels_.to_end(node)) ranges.push_back({token, token + 1});
  }
}

/// The second corner of a box is not left of or above the first.
void AnswerGrammar::add_next_location(const GrammarState& state, Ranges& ranges) const {
  const bool box = group_size_ == 4;
  add_location(ranges, box && state.locations == 2 ? state.x0 : box && state.locations == 3 ? state.y0 : 0);
}

void AnswerGrammar::add_in_outline(const GrammarState& state, int room, Ranges& ranges) const {
  const int close = state.in_poly ? 1 : 0;
  const bool complete = state.locations >= kLeastOutline && state.locations % 2 == 0;
  const bool goes_on = !complete || room >= 2 + close;
  if (goes_on) add_location(ranges);
  if (!complete) return;
  if (separator_ >= 0 && room >= 1 + kLeastOutline + close) ranges.push_back({separator_, separator_ + 1});
  if (state.in_poly) {
    ranges.push_back({poly_end_, poly_end_ + 1});
  } else {
    ranges.push_back({eos_, eos_ + 1});
    if (rules_.labelled) add_label(state, room, ranges);
  }
}

/// Between items: the end, a label, or another shape of the same label.
void AnswerGrammar::add_new_item(const GrammarState& state, int room, Ranges& ranges) const {
  ranges.push_back({eos_, eos_ + 1});
  if (state.phase == Phase::start && bos_ >= 0 && room > 1) ranges.push_back({bos_, bos_ + 1});
  if (rules_.labelled) add_label(state, room, ranges);
  const bool first = state.phase == Phase::start || state.phase == Phase::begun;
  if (!rules_.labelled || !first) {
    if (state.phase != Phase::outlined) {
      add_shape(state, room, ranges);
    } else if (room >= kLeastOutline + 2) {
      ranges.push_back({poly_begin_, poly_begin_ + 1});
    }
  }
}

void AnswerGrammar::allowed(const GrammarState& state, int room, std::vector<IdRange>& ranges) const {
  ranges.clear();
  switch (state.phase) {
    case Phase::start:
    case Phase::begun:
    case Phase::closed:
    case Phase::outlined:
      add_new_item(state, room, ranges);
      break;
    case Phase::label:
      if (labels_.empty() || labels_.is_end(state.node)) add_shape(state, room, ranges);
      add_label(state, room, ranges);
      break;
    case Phase::group:
      add_next_location(state, ranges);
      break;
    case Phase::outline:
      add_in_outline(state, room, ranges);
      break;
    case Phase::ended:
      ranges.push_back({eos_, eos_ + 1});
      break;
  }
  std::sort(ranges.begin(), ranges.end(), [](const IdRange& a, const IdRange& b) { return a.begin < b.begin; });
}

GrammarState AnswerGrammar::after_location(GrammarState state, std::int32_t bin) const {
  if (state.phase != Phase::group && state.phase != Phase::outline) state.locations = 0;
  if (state.in_poly || rules_.kind == AnswerKind::polygons) {
    state.phase = Phase::outline;
    ++state.locations;
    return state;
  }
  state.has_groups = true;
  if (state.locations == 0) state.x0 = bin;
  if (state.locations == 1) state.y0 = bin;
  ++state.locations;
  state.phase = state.locations == group_size_ ? Phase::closed : Phase::group;
  return state;
}

GrammarState AnswerGrammar::next(GrammarState state, std::int32_t token) const {
  const std::int32_t bin = token - location_base_;
  if (bin >= 0 && bin < kLocationBins) return after_location(state, bin);
  if (token == eos_) {
    state.phase = Phase::ended;
  } else if (token == separator_ || token == poly_begin_) {
    state.phase = Phase::outline;
    state.locations = 0;
    state.has_outlines = true;
    state.in_poly = state.in_poly || token == poly_begin_;
  } else if (token == poly_end_) {
    state.phase = Phase::outlined;
    state.in_poly = false;
  } else if (token == bos_) {
    state.phase = Phase::begun;
  } else {
    const std::int32_t from = state.phase == Phase::label ? state.node : LabelTrie::kRoot;
    state.node = labels_.empty() ? LabelTrie::kRoot : labels_.child(from, token);
    state.phase = Phase::label;
  }
  return state;
}

}  // namespace florence2
