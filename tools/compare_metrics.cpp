#include "tools/compare_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/edit_distance.hpp"
#include "core/utf8.hpp"
#include "tools/answer_text.hpp"
#include "tools/canvas.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

constexpr MetricInfo kMetrics[kMetricCount] = {
    {Metric::same_tokens, "same_tokens", "same", "share of answers with the same tokens", 3},
    {Metric::token_agreement, "token_agreement", "agree", "equal tokens before the first difference, share", 3},
    {Metric::same_text, "same_text", "text =", "share of texts that are equal", 3},
    {Metric::text_edits, "text_edits", "edits", "characters to change in the text", 2},
    {Metric::character_error, "character_error", "CER", "the same, divided by the characters of the reference", 3},
    {Metric::f1_50, "f1_iou50", "F1@50", "things with the same label and boxes of IoU 0.5 and more", 3},
    {Metric::f1_90, "f1_iou90", "F1@90", "the same from IoU 0.9 on", 3},
    {Metric::place_f1_50, "place_f1_iou50", "any@50", "F1 at IoU 0.5, whatever the labels", 3},
    {Metric::place_f1_90, "place_f1_iou90", "any@90", "F1 at IoU 0.9, whatever the labels", 3},
    {Metric::outline_iou, "outline_iou", "outline", "IoU of quadrilaterals and polygons", 3},
    {Metric::logit_cosine, "logit_cosine", "cosine", "cosine of the logits along the reference's tokens", 6},
    {Metric::logit_error, "logit_max_error", "logits", "largest difference of a logit, mean over the steps", 3},
    {Metric::same_choice, "same_choice", "choice", "steps whose most likely token is the same, share", 3},
};

struct Pair {
  double iou;
  std::size_t a, b;
};

/// Things that belong together, one to one, nearest first; only those that overlap.
std::vector<Pair> pair_up(std::span<const Item> a, std::span<const Item> b, bool labels) {
  std::vector<Pair> candidates;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      if (labels && a[i].label != b[j].label) continue;
      const double iou = box_iou(bounds(a[i]), bounds(b[j]));
      if (iou > 0) candidates.push_back({iou, i, j});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Pair& x, const Pair& y) { return x.iou > y.iou; });
  std::vector<bool> taken_a(a.size()), taken_b(b.size());
  std::vector<Pair> pairs;
  for (const Pair& pair : candidates) {
    if (taken_a[pair.a] || taken_b[pair.b]) continue;
    taken_a[pair.a] = taken_b[pair.b] = true;
    pairs.push_back(pair);
  }
  return pairs;
}

Box around(const Box& a, const Box& b) {
  return {std::min(a.x0, b.x0), std::min(a.y0, b.y0), std::max(a.x1, b.x1), std::max(a.y1, b.y1)};
}

/// How much of each of kCells x kCells cells of `frame` the thing covers, in 255ths and thrice (RGB).
constexpr int kCells = 256;
Canvas coverage(const Item& item, const Box& frame) {
  Polygons scaled = outlines(item);
  for (auto& outline : scaled) {
    for (Point& point : outline) {
      point.x = (point.x - frame.x0) * kCells / (frame.x1 - frame.x0);
      point.y = (point.y - frame.y0) * kCells / (frame.y1 - frame.y0);
    }
  }
  Canvas canvas(kCells, kCells, {0, 0, 0});
  canvas.fill(scaled, {255, 255, 255}, 1);
  return canvas;
}

double item_iou(const Item& a, const Item& b) {
  const Box frame = around(bounds(a), bounds(b));
  if (!(frame.x1 > frame.x0 && frame.y1 > frame.y0)) return box_iou(bounds(a), bounds(b));
  const Canvas canvas_a = coverage(a, frame), canvas_b = coverage(b, frame);
  std::int64_t common = 0, all = 0;
  for (std::size_t i = 0; i < canvas_a.rgb().size(); i += 3) {
    common += std::min(canvas_a.rgb()[i], canvas_b.rgb()[i]);
    all += std::max(canvas_a.rgb()[i], canvas_b.rgb()[i]);
  }
  return all == 0 ? box_iou(bounds(a), bounds(b)) : static_cast<double>(common) / static_cast<double>(all);
}

std::u32string characters(std::string_view text) {
  std::u32string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    out += step.code_point;
    text.remove_prefix(step.size);
  }
  return out;
}

/// The text of a text answer; of others the labels, a line each.
std::string text_of(const Answer& answer) {
  if (answer.kind == AnswerKind::text) return readable_text(answer.text);
  std::string text;
  for (const Item& item : answer.items) text += item.label + '\n';
  return text;
}

void add_text_scores(const std::string& reference, const std::string& other, const AnswerFrame& frame, Scores& scores) {
  const auto edits = static_cast<double>(character_edits(reference, other));
  if (frame.text) {
    score_of(scores, Metric::same_text) = reference == other ? 1 : 0;
    score_of(scores, Metric::text_edits) = edits;
  }
  if (!frame.reading) return;
  const auto length = static_cast<double>(characters(reference).size());
  score_of(scores, Metric::character_error) = edits / std::max(length, 1.0);
}

void add_place_scores(std::span<const Item> a, std::span<const Item> b, Scores& scores) {
  score_of(scores, Metric::f1_50) = f1_score(a, b, 0.5, true);
  score_of(scores, Metric::f1_90) = f1_score(a, b, 0.9, true);
  score_of(scores, Metric::place_f1_50) = f1_score(a, b, 0.5, false);
  score_of(scores, Metric::place_f1_90) = f1_score(a, b, 0.9, false);
}

bool has_outline(const Item& item) { return !std::holds_alternative<Box>(item.shape); }

}  // namespace

std::span<const MetricInfo, kMetricCount> all_metrics() { return kMetrics; }

Scores compare_answers(const TaskResult& reference, const TaskResult& other, const AnswerFrame& frame) {
  Scores scores;
  score_of(scores, Metric::same_tokens) = reference.token_ids == other.token_ids ? 1 : 0;
  score_of(scores, Metric::token_agreement) = token_agreement(reference.token_ids, other.token_ids);
  if (frame.text || frame.reading) {
    add_text_scores(text_of(reference.answer), text_of(other.answer), frame, scores);
  }
  if (frame.text) return scores;
  const std::vector<Item>&a = reference.answer.items, &b = other.answer.items;
  add_place_scores(a, b, scores);
  const bool outlined = std::any_of(a.begin(), a.end(), has_outline) || std::any_of(b.begin(), b.end(), has_outline);
  if (outlined) score_of(scores, Metric::outline_iou) = outline_iou(a, b);
  return scores;
}

double token_agreement(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  const std::size_t longer = std::max(a.size(), b.size());
  if (longer == 0) return 1;
  const auto stop = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return static_cast<double>(stop - a.begin()) / static_cast<double>(longer);
}

std::size_t character_edits(std::string_view a, std::string_view b) {
  return edit_distance(characters(a), characters(b));
}

double box_iou(const Box& a, const Box& b) {
  const auto area = [](const Box& box) {
    return std::max(0.0, double{box.x1} - double{box.x0}) * std::max(0.0, double{box.y1} - double{box.y0});
  };
  const double common = area({std::max(a.x0, b.x0), std::max(a.y0, b.y0), std::min(a.x1, b.x1), std::min(a.y1, b.y1)});
  const double all = area(a) + area(b) - common;
  if (all > 0) return common / all;
  return a.x0 == b.x0 && a.y0 == b.y0 && a.x1 == b.x1 && a.y1 == b.y1 ? 1 : 0;
}

double f1_score(std::span<const Item> a, std::span<const Item> b, double least_iou, bool labels) {
  if (a.empty() && b.empty()) return 1;
  const std::vector<Pair> pairs = pair_up(a, b, labels);
  const auto hits =
      std::count_if(pairs.begin(), pairs.end(), [least_iou](const Pair& pair) { return pair.iou >= least_iou; });
  return 2 * static_cast<double>(hits) / static_cast<double>(a.size() + b.size());
}

double outline_iou(std::span<const Item> a, std::span<const Item> b) {
  const std::size_t most = std::max(a.size(), b.size());
  if (most == 0) return 1;
  double sum = 0;
  for (const Pair& pair : pair_up(a, b, false)) sum += item_iou(a[pair.a], b[pair.b]);
  return sum / static_cast<double>(most);
}

LogitStep compare_logits(std::span<const float> a, std::span<const float> b) {
  double aa = 0, bb = 0, ab = 0, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = double{a[i]}, y = double{b[i]};
    aa += x * x;
    bb += y * y;
    ab += x * y;
    error = std::max(error, std::abs(x - y));
  }
  const auto largest = [](std::span<const float> row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  };
  return {aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : (aa == bb ? 1.0 : 0.0), error, largest(a) == largest(b)};
}

void add_logit_scores(std::span<const LogitStep> steps, Scores& scores) {
  if (steps.empty()) return;
  double cosine = 0, error = 0, same = 0;
  for (const LogitStep& step : steps) {
    cosine += step.cosine;
    error += step.max_error;
    same += step.same_choice ? 1 : 0;
  }
  const auto count = static_cast<double>(steps.size());
  score_of(scores, Metric::logit_cosine) = cosine / count;
  score_of(scores, Metric::logit_error) = error / count;
  score_of(scores, Metric::same_choice) = same / count;
}

void MeanScores::add(const Scores& scores) {
  ++count_;
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    if (!scores[i]) continue;
    sums_[i] += *scores[i];
    ++counts_[i];
  }
}

Scores MeanScores::mean() const {
  Scores means;
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    if (counts_[i] > 0) means[i] = sums_[i] / counts_[i];
  }
  return means;
}

}  // namespace florence2
