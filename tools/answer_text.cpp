#include "tools/answer_text.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/utf8.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

using Row = std::vector<std::string>;

std::string fixed(float value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, static_cast<double>(value));
  return text;
}

void append_box(Row& row, const Box& box) {
  for (const float value : {box.x0, box.y0, box.x1, box.y1}) row.push_back(fixed(value, 1));
}

Box around(const Polygons& polygons) {
  Box box;
  bool first = true;
  for (const auto& polygon : polygons) {
    for (const Point& point : polygon) {
      if (first) box = {point.x, point.y, point.x, point.y};
      first = false;
      box = {std::min(box.x0, point.x), std::min(box.y0, point.y), std::max(box.x1, point.x),
             std::max(box.y1, point.y)};
    }
  }
  return box;
}

Row title_row(const Item& item) {
  if (std::holds_alternative<Quad>(item.shape)) {
    return {"text", "x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3", "score"};
  }
  if (std::holds_alternative<Polygons>(item.shape)) return {"label", "x0", "y0", "x1", "y1", "points", "score"};
  return {"label", "x0", "y0", "x1", "y1", "score"};
}

Row item_row(const Item& item) {
  Row row = {item.label.empty() ? "-" : printable(item.label)};
  if (const Box* box = std::get_if<Box>(&item.shape)) {
    append_box(row, *box);
  } else if (const Quad* quad = std::get_if<Quad>(&item.shape)) {
    for (const Point& point : *quad) {
      row.push_back(fixed(point.x, 1));
      row.push_back(fixed(point.y, 1));
    }
  } else {
    const auto& polygons = std::get<Polygons>(item.shape);
    append_box(row, around(polygons));
    std::size_t points = 0;
    for (const auto& polygon : polygons) points += polygon.size();
    row.push_back(std::to_string(points));
  }
  row.push_back(item.score > 0 ? fixed(item.score, 2) : "-");
  return row;
}

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(utf8_step(text).size);
  return count;
}

/// The first column to the left, numbers to the right.
std::string align(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows[0].size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], count_characters(row[i]));
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - count_characters(row[i]), ' ');
      text += i == 0 ? row[i] + padding : "  " + padding + row[i];
    }
    text += '\n';
  }
  return text;
}

/// Text with its line breaks, otherwise printable.
std::string printable_lines(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end)) + '\n';
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
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

std::string answer_text(const Answer& answer) {
  if (answer.kind == AnswerKind::text) return printable_lines(readable_text(answer.text));
  if (answer.items.empty()) return "(nothing found)\n";
  std::vector<Row> rows = {title_row(answer.items[0])};
  for (const Item& item : answer.items) rows.push_back(item_row(item));
  return align(rows);
}

}  // namespace florence2
