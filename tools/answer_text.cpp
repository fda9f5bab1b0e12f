#include "tools/answer_text.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "tools/message.hpp"
#include "tools/shapes.hpp"
#include "tools/table.hpp"

namespace florence2 {
namespace {

std::string fixed(float value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, static_cast<double>(value));
  return text;
}

/// The columns between label and score.
enum class Columns { box, quad, outline };

Columns columns_for(const std::vector<Item>& items) {
  const auto all = [&]<typename Shape>(const Shape*) {
    return std::all_of(items.begin(), items.end(),
                       [](const Item& item) { return std::holds_alternative<Shape>(item.shape); });
  };
  if (all(static_cast<const Box*>(nullptr))) return Columns::box;
  return all(static_cast<const Quad*>(nullptr)) ? Columns::quad : Columns::outline;
}

TableRow title_row(Columns columns) {
  if (columns == Columns::quad) return {"text", "x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3", "score"};
  if (columns == Columns::outline) return {"label", "x0", "y0", "x1", "y1", "points", "score"};
  return {"label", "x0", "y0", "x1", "y1", "score"};
}

TableRow item_row(const Item& item, Columns columns) {
  TableRow row = {item.label.empty() ? "-" : printable(item.label)};
  const auto append = [&](float value) { row.push_back(fixed(value, 1)); };
  if (columns == Columns::quad) {
    for (const Point& point : std::get<Quad>(item.shape)) {
      append(point.x);
      append(point.y);
    }
  } else {
    const Box box = bounds(item);
    for (const float value : {box.x0, box.y0, box.x1, box.y1}) append(value);
  }
  if (columns == Columns::outline) {
    std::size_t points = 0;
    for (const auto& outline : outlines(item)) points += outline.size();
    row.push_back(std::to_string(points));
  }
  row.push_back(item.score > 0 ? fixed(item.score, 2) : "-");
  return row;
}

}  // namespace

std::string readable_text(std::string_view text) {
  constexpr std::string_view kBegin = "<loc_";
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.starts_with(kBegin) ? text.find_first_not_of("0123456789", kBegin.size()) : 0;
    if (end > kBegin.size() && end < text.size() && text[end] == '>') {
      text.remove_prefix(end + 1);
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string printable_text(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string answer_lines(const Answer& answer) {
  if (answer.kind != AnswerKind::quads) return answer_text(answer);
  std::string text;
  for (const TextLine& line : text_lines(answer.items)) text += printable(line.text) + '\n';
  return text;
}

std::string answer_text(const Answer& answer) {
  if (answer.kind == AnswerKind::text) return printable_text(readable_text(answer.text)) + '\n';
  if (answer.items.empty()) return "(nothing found)\n";
  const Columns columns = columns_for(answer.items);
  std::vector<TableRow> rows = {title_row(columns)};
  for (const Item& item : answer.items) rows.push_back(item_row(item, columns));
  return align_table(rows);
}

}  // namespace florence2
