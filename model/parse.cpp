#include "model/parse.hpp"

#include <string>
#include <utility>

#include "model/parse_reference.hpp"
#include "model/parse_repaired.hpp"
#include "model/parse_scores.hpp"
#include "model/parse_tags.hpp"

namespace florence2 {
namespace {

/// Text of text tasks. ms keeps white space around it; only none takes <pad> out.
std::string plain_text(std::string_view text, Compat compat) {
  CleanText clean = without(text, {"<s>", "</s>"});
  if (compat == Compat::ms) return std::move(clean.text);
  if (compat == Compat::none) clean = without(clean.text, {"<pad>"});
  return std::string(strip(clean.text));
}

Findings find_by_reference(const AnswerRules& rules, std::string_view original, std::string_view clean,
                           const PixelScale& scale, Compat compat) {
  const LeftoverTag leftover = compat == Compat::hf ? LeftoverTag::whole : LeftoverTag::tail;
  switch (rules.kind) {
    case AnswerKind::quads:
      return find_quads(clean, scale, compat == Compat::hf);
    case AnswerKind::polygons:
      return find_polygons(clean, scale, rules.labelled, leftover);
    case AnswerKind::boxes_or_polygons:
      if (original.find("<poly>") != original.npos) return find_polygons(clean, scale, rules.labelled, leftover);
      break;
    case AnswerKind::boxes:
    case AnswerKind::text:
      break;
  }
  return find_boxes(clean, scale, rules.labelled, rules.skip_empty_phrases);
}

/// Items of the references' rules, with their places in `text` itself.
Findings find_like(Compat compat, const AnswerRules& rules, std::string_view text, const PixelScale& scale) {
  const bool keeps_end_tokens = compat == Compat::ms && rules.kind == AnswerKind::quads;
  const CleanText clean = keeps_end_tokens ? without(text, {"<s>"}) : without(text, {"<s>", "</s>", "<pad>"});
  Findings findings = find_by_reference(rules, text, clean.text, scale, compat);
  for (Found& found : findings.found) {
    found.begin = clean.origin[found.begin];
    found.end = clean.origin[found.end - 1] + 1;
    if (found.label_end == found.label_begin) continue;
    found.label_begin = clean.origin[found.label_begin];
    found.label_end = clean.origin[found.label_end - 1] + 1;
  }
  return findings;
}

Findings find_items(const AnswerRules& rules, std::string_view text, const PixelScale& scale, Compat compat) {
  return compat == Compat::none ? find_repaired(rules, text, scale) : find_like(compat, rules, text, scale);
}

PixelScale pixel_scale(int width, int height, Compat compat) { return {width, height, compat == Compat::hf}; }

Answer answer_of(AnswerKind kind, Findings findings) {
  Answer answer;
  answer.kind = kind;
  answer.items_dropped = findings.incomplete;
  for (Found& found : findings.found) answer.items.push_back(std::move(found.item));
  return answer;
}

Answer text_answer(std::string_view text, Compat compat) {
  Answer answer;
  answer.text = plain_text(text, compat);
  return answer;
}

bool scored_by_ms(std::optional<Task> task) {
  return task == Task::object_detection || task == Task::dense_region_caption;
}

}  // namespace

AnswerRules answer_rules(Task task) {
  if (static_cast<int>(task) >= kTaskCount) return {};
  const bool labelled =
      task != Task::region_proposal && task != Task::referring_segmentation && task != Task::region_to_segmentation;
  return {task_info(task).answer, labelled, task == Task::phrase_grounding};
}

bool takes_classes(const AnswerRules& rules) {
  return rules.labelled && rules.kind != AnswerKind::text && rules.kind != AnswerKind::quads;
}

Answer parse_by_rules(const AnswerRules& rules, std::string_view text, int width, int height, Compat compat) {
  if (rules.kind == AnswerKind::text) return text_answer(text, compat);
  return answer_of(rules.kind, find_items(rules, text, pixel_scale(width, height, compat), compat));
}

Answer parse_answer(Task task, std::string_view text, int width, int height, Compat compat) {
  return parse_by_rules(answer_rules(task), text, width, height, compat);
}

Answer parse_answer(AnswerKind kind, std::string_view text, int width, int height, Compat compat) {
  return parse_by_rules({kind}, text, width, height, compat);
}

Answer parse_scored(const AnswerRules& rules, std::optional<Task> task, const DecodedText& decoded,
                    std::span<const TokenSpan> tokens) {
  const auto& [text, width, height, compat] = decoded;
  if (rules.kind == AnswerKind::text) return text_answer(text, compat);
  const PixelScale scale = pixel_scale(width, height, compat);
  if (compat == Compat::ms && rules.kind == AnswerKind::boxes && scored_by_ms(task)) {
    return answer_of(rules.kind, find_boxes_scored_ms(text, tokens, scale));
  }
  Findings findings = find_items(rules, text, scale, compat);
  for (Found& found : findings.found) {
    found.item.score = overlap_score(tokens, found.begin, found.end);
    if (!found.item.label.empty()) found.item.label_score = overlap_score(tokens, found.label_begin, found.label_end);
  }
  return answer_of(rules.kind, std::move(findings));
}

}  // namespace florence2
