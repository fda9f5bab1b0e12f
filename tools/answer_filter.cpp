#include "tools/answer_filter.hpp"

#include "model/question.hpp"

namespace florence2 {

void filter_result(TaskResult& result, const RunSettings& settings) {
  Answer& answer = result.answer;
  std::erase_if(answer.items, [&](const Item& item) { return item.score < settings.min_score; });
  result.absent_classes = absent_classes(settings.answer.classes, answer);
  if (!settings.ocr_lines || answer.kind != AnswerKind::quads) return;
  std::vector<Item> ordered;
  for (const TextLine& line : text_lines(answer.items)) {
    for (const int index : line.items) ordered.push_back(answer.items[static_cast<std::size_t>(index)]);
  }
  answer.items = std::move(ordered);
}

}  // namespace florence2
