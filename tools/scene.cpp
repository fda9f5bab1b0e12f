#include "tools/scene.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "tools/answer_text.hpp"
#include "tools/font.hpp"
#include "tools/labels.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

// The colours of Okabe and Ito, which people with any kind of colour vision can tell apart; black is kept for borders.
constexpr Color kPalette[] = {{230, 159, 0}, {86, 180, 233},  {0, 158, 115}, {240, 228, 66},
                              {213, 94, 0},  {204, 121, 167}, {0, 114, 178}};

/// One colour for each label; where labels do not tell things apart, one for each thing.
std::vector<Color> choose_colors(const std::vector<Item>& items) {
  std::map<std::string_view, std::size_t> number;
  for (const Item& item : items) number.try_emplace(item.label, number.size());
  std::vector<Color> colors;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t index = number.size() == 1 ? i : number[items[i].label];
    colors.push_back(kPalette[index % std::size(kPalette)]);
  }
  return colors;
}

std::string score_of(const Item& item) {
  if (item.score <= 0) return {};
  char score[16];
  std::snprintf(score, sizeof(score), "%.2f", static_cast<double>(item.score));
  return score;
}

void add_items(Scene& scene, const Font& font, const std::vector<Item>& items) {
  const std::vector<Color> colors = choose_colors(items);
  for (std::size_t i = 0; i < items.size(); ++i) {
    scene.marks.push_back({items[i], outlines(items[i]), colors[i], std::holds_alternative<Polygons>(items[i].shape)});
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (scene.marks[i].outlines.empty()) continue;
    add_plate(scene, font, scene.marks[scene.marks.size() - items.size() + i], items[i].label, score_of(items[i]));
  }
}

/// Splits at spaces (inside words that are too long) so that every line fits.
std::vector<std::string> wrap(const Font& font, std::string_view text, float width) {
  std::vector<std::string> lines(1);
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t space = rest.find_first_of(" \n");
    std::string word(rest.substr(0, space));
    const bool line_break = space != std::string_view::npos && rest[space] == '\n';
    rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    if (!lines.back().empty() && font.width(lines.back() + " " + word) > width) lines.emplace_back();
    for (std::string piece; font.width(word) > width; word.erase(0, piece.size())) {
      piece = fit(font, word, width);
      if (piece.empty()) return lines;  // not even one character fits
      lines.back() = piece;
      lines.emplace_back();
    }
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    if (line_break) lines.emplace_back();
  }
  return lines;
}

}  // namespace

float suitable_text_height(int width, int height) {
  const float side = std::sqrt(static_cast<float>(width) * static_cast<float>(height));
  return std::clamp(side / 34, 15.0f, 160.0f);
}

Scene make_scene(int width, int height, const Answer& answer, const SceneOptions& options) {
  Scene scene{.width = width, .height = height};
  scene.text_height = options.text_height > 0 ? options.text_height : suitable_text_height(width, height);
  const Font font(scene.text_height);
  scene.line = scene.text_height / 7;
  std::vector<Item> items = answer.items;
  if (options.region) items.insert(items.begin(), Item{.label = {}, .shape = *options.region, .score = 0});
  add_items(scene, font, items);
  if (answer.kind == AnswerKind::text && !answer.text.empty()) {
    scene.strip = wrap(font, readable_text(answer.text), static_cast<float>(width) - 2 * strip_margin(scene));
  }
  return scene;
}

float strip_margin(const Scene& scene) { return scene.text_height / 2; }

float strip_height(const Scene& scene) {
  if (scene.strip.empty()) return 0;
  return 2 * strip_margin(scene) + scene.text_height * static_cast<float>(scene.strip.size());
}

}  // namespace florence2
