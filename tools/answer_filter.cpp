#include "tools/answer_filter.hpp"

namespace florence2 {

void filter_answer(Answer& answer, const RunSettings& settings) {
  std::erase_if(answer.items, [&](const Item& item) { return item.score < settings.min_score; });
  if (!settings.ocr_lines || answer.kind != AnswerKind::quads) return;
  std::vector<Item> ordered;
  for (const TextLine& line : text_lines(answer.items)) {
    for (const int index : line.items) ordered.push_back(answer.items[static_cast<std::size_t>(index)]);
  }
  answer.items = std::move(ordered);
}

}  // namespace florence2
