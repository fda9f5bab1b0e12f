// How far two answers to one question are apart: the numbers of `florence2 compare` (docs/precision.md).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "model/florence2.hpp"

namespace florence2 {

enum class Metric : std::uint8_t {
  same_tokens,
  token_agreement,
  same_text,
  text_edits,
  character_error,
  f1_50,
  f1_90,
  place_f1_50,
  place_f1_90,
  outline_iou,
  logit_cosine,
  logit_error,
  same_choice,
};
inline constexpr std::size_t kMetricCount = 13;

struct MetricInfo {
  Metric metric;
  std::string_view name;     ///< in JSON
  std::string_view heading;  ///< of a column
  std::string_view description;
  int decimals;  ///< in tables
};

/// In the order of the enum.
std::span<const MetricInfo, kMetricCount> all_metrics();

/// Values of the metrics that apply; shares are in 0…1.
using Scores = std::array<std::optional<double>, kMetricCount>;

/// What a task's answers are made of, for compare_answers().
struct AnswerFrame {
  bool text = false;     ///< the answer is a text
  bool reading = false;  ///< what it says was written in the picture
};

/// `other` against `reference`; all metrics but those of logits.
Scores compare_answers(const TaskResult& reference, const TaskResult& other, const AnswerFrame& frame);

// --- The parts ----------------------------------------------------------------------------------------

/// Equal tokens before the first difference, as a share of the longer sequence. 1 when both are empty.
double token_agreement(std::span<const std::int32_t> a, std::span<const std::int32_t> b);

/// Insertions, deletions and substitutions of characters.
std::size_t character_edits(std::string_view a, std::string_view b);

/// Intersection over union of upright boxes; 1 for equal boxes without area.
double box_iou(const Box& a, const Box& b);

/// Harmonic mean of precision and recall. Things are paired one to one, nearest first, by the IoU of the boxes around
/// them; a pair counts from `least_iou` on, with `labels` only when its labels are equal. 1 when both are empty.
double f1_score(std::span<const Item> a, std::span<const Item> b, double least_iou, bool labels);

/// Mean intersection over union of the outlines of things paired as above; a thing without a partner counts 0. Areas
/// are sums over 256 x 256 cells. 1 when both are empty.
double outline_iou(std::span<const Item> a, std::span<const Item> b);

/// Logits of one step: cosine of the angle between them, largest difference, whether the largest one is the same.
struct LogitStep {
  double cosine = 1, max_error = 0;
  bool same_choice = true;
};
LogitStep compare_logits(std::span<const float> a, std::span<const float> b);

/// Adds the means over the steps to `scores`; nothing without steps.
void add_logit_scores(std::span<const LogitStep> steps, Scores& scores);

/// Means, metric by metric, over the answers to which it applies.
class MeanScores {
 public:
  void add(const Scores& scores);
  int count() const { return count_; }  ///< answers
  Scores mean() const;

 private:
  std::array<double, kMetricCount> sums_{};
  std::array<int, kMetricCount> counts_{};
  int count_ = 0;
};

inline std::optional<double>& score_of(Scores& scores, Metric metric) {
  return scores[static_cast<std::size_t>(metric)];
}

}  // namespace florence2
