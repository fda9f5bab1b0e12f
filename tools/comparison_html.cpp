#include "tools/comparison_html.hpp"

#include <algorithm>
#include <cstdio>

#include "model/image.hpp"
#include "tools/answer_text.hpp"
#include "tools/base64.hpp"
#include "tools/draw.hpp"
#include "tools/markup.hpp"
#include "tools/picture_file.hpp"

namespace florence2 {
namespace {

constexpr const char* kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>florence2 compare</title>
<style>
:root { color-scheme: light dark; --line: #8885; --same: #2a8a4a; --other: #c05010 }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 90rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th[title] { text-decoration: underline dotted }
.answers { display: flex; flex-wrap: wrap; gap: 1rem }
.answer { flex: 1 1 18rem; max-width: 40rem; border: 1px solid var(--line); border-radius: 6px; padding: .6rem }
.answer img { max-width: 100%; height: auto; display: block }
.answer p { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0 }
.same { color: var(--same) } .other { color: var(--other) }
svg { display: block; margin: .5rem 0; max-width: 100% }
polyline { fill: none; stroke: var(--other); stroke-width: 1.5 }
</style></head><body>
<h1>florence2 compare</h1>
)";

/// A picture at the size at which it is shown, and answers to go with it.
struct Shown {
  std::vector<std::uint8_t> rgb;
  int width = 0, height = 0;
  float scale = 1;
  ImageView view() const { return {rgb.data(), width, height, std::ptrdiff_t{3} * width}; }
};

Shown shrink(const ImageView& picture, int longest_side) {
  const int longest = std::max(picture.width, picture.height);
  const float scale = std::min(1.0f, static_cast<float>(longest_side) / static_cast<float>(longest));
  const auto side = [scale](int pixels) { return std::max(1, static_cast<int>(static_cast<float>(pixels) * scale)); };
  Shown shown{{}, side(picture.width), side(picture.height), scale};
  shown.rgb = resize_bicubic(picture, shown.width, shown.height);
  return shown;
}

struct Scale {
  float factor;
  void operator()(Box& box) const { box = {box.x0 * factor, box.y0 * factor, box.x1 * factor, box.y1 * factor}; }
  void operator()(Quad& quad) const {
    for (Point& point : quad) point = {point.x * factor, point.y * factor};
  }
  void operator()(Polygons& polygons) const {
    for (auto& polygon : polygons) {
      for (Point& point : polygon) point = {point.x * factor, point.y * factor};
    }
  }
};

Answer scaled(Answer answer, float factor) {
  for (Item& item : answer.items) std::visit(Scale{factor}, item.shape);
  return answer;
}

std::optional<Box> scaled(std::optional<Box> region, float factor) {
  if (region) Scale{factor}(*region);
  return region;
}

Result<std::string> image_element(const Shown& shown, const Answer& answer, const std::optional<Box>& region) {
  const Canvas canvas = draw_answer(shown.view(), scaled(answer, shown.scale), scaled(region, shown.scale));
  FL_ASSIGN(const std::string png, encode_png(canvas));
  return "<img alt=\"\" width=\"" + std::to_string(shown.width) + "\" src=\"data:image/png;base64," + base64(png) +
         "\">\n";
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %%", 100 * share);
  return text;
}

/// "same tokens", or from where on they differ.
std::string verdict(Scores scores) {
  if (score_of(scores, Metric::same_tokens) == 1.0) return "<span class=\"same\">same tokens</span>";
  const double share = score_of(scores, Metric::token_agreement).value_or(0);
  return "<span class=\"other\">differs after " + percent(share) + " of the tokens</span>";
}

std::string table_element(const ComparisonTable& table) {
  std::string html = "<table><tr>";
  for (std::size_t i = 0; i < table.headings.size(); ++i) {
    const std::string& about = table.explanations[i];
    html += about.empty() ? "<th>" : "<th title=\"" + escape_markup(about) + "\">";
    html += escape_markup(table.headings[i]) + "</th>";
  }
  html += "</tr>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += "<td>" + escape_markup(cell) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table>\n";
}

/// The mean largest error of the logits over the steps, as a line.
std::string chart_element(const std::vector<StepTotals>& steps) {
  constexpr int kWidth = 600, kHeight = 80;
  double most = 0;
  for (const StepTotals& step : steps) most = std::max(most, step.error_sum / step.answers);
  if (steps.size() < 2 || most == 0) return {};
  std::string points;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    char point[64];
    std::snprintf(point, sizeof(point), "%.1f,%.1f ",
                  static_cast<double>(i) * kWidth / static_cast<double>(steps.size() - 1),
                  kHeight - steps[i].error_sum / steps[i].answers / most * (kHeight - 2) - 1);
    points += point;
  }
  char caption[160];
  std::snprintf(
      caption, sizeof(caption),
      "<p>Largest difference of a logit, mean over the answers, by step (1 to %zu); the highest point is %.3g:</p>\n",
      steps.size(), most);
  return std::string(caption) + "<svg width=\"600\" height=\"80\" viewBox=\"0 0 600 80\"><polyline points=\"" + points +
         "\"/></svg>\n";
}

std::string heading_of(const Job& job) {
  const std::string& input = job.text.empty() ? job.prompt : job.text;
  return "<h3>" + escape_markup(job.name()) + (input.empty() ? "" : ": " + escape_markup(input)) + "</h3>\n";
}

}  // namespace

Status ComparisonPage::add(const std::string& name, const ImageView& picture,
                           const std::vector<std::string>& contestants, const std::vector<Trial>& trials) {
  const Shown shown = shrink(picture, kLongestSide);
  std::string html = "<h2>" + escape_markup(name) + "</h2>\n";
  bool alone = true;  // no picture was drawn with an answer on it yet
  for (const Trial& trial : trials) {
    html += heading_of(trial.job) + "<div class=\"answers\">\n";
    for (std::size_t i = 0; i < trial.results.size(); ++i) {
      const Answer& answer = trial.results[i].answer;
      html += "<div class=\"answer\"><b>" + escape_markup(contestants[i]) + "</b> ";
      if (i > 0) html += verdict(trial.scores[i]);
      if (answer.kind == AnswerKind::text) html += "<p>" + escape_markup(readable_text(answer.text)) + "</p>\n";
      if (answer.kind != AnswerKind::text || alone) {
        const Answer marks = answer.kind == AnswerKind::text ? Answer{} : answer;
        FL_ASSIGN(const std::string image, image_element(shown, marks, trial.job.region));
        html += image;
      }
      html += "</div>\n";
    }
    html += "</div>\n";
    alone = false;
  }
  pictures_ += html;
  return {};
}

std::string ComparisonPage::document(const std::vector<ContestantFacts>& contestants,
                                     const Comparison& comparison) const {
  std::string html = kHead + table_element(facts_table(contestants));
  for (std::size_t i = 1; i < contestants.size(); ++i) {
    html += "<h2>" + escape_markup(contestants[i].name) + " against " + escape_markup(contestants[0].name) + "</h2>\n";
    html += table_element(scores_table(comparison, i)) + chart_element(comparison.steps()[i]);
  }
  return html + pictures_ + "</body></html>\n";
}

}  // namespace florence2
