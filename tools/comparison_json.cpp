// The JSON of `florence2 compare`.
#include <cmath>

#include "tools/comparison.hpp"

namespace florence2 {
namespace {

/// Milliseconds and megabytes to hundredths.
json::Value hundredths(double value) { return std::round(value * 100) / 100; }

json::Value megabytes(std::int64_t bytes) { return hundredths(static_cast<double>(bytes) / 1e6); }

json::Value each(double total, std::int64_t count) {
  return count == 0 ? json::Value() : hundredths(total / static_cast<double>(count));
}

json::Value facts_json(const ContestantFacts& facts) {
  const StageTotals& totals = facts.totals;
  return json::Object{
      {"name", facts.name},
      {"model", facts.model.directory},
      {"precision", facts.model.precision},
      {"isa", facts.model.isa},
      {"file_mb", megabytes(facts.file_bytes)},
      {"memory_mb", megabytes(facts.model.weight_bytes)},
      {"peak_mb", facts.peak_bytes ? megabytes(*facts.peak_bytes) : json::Value()},
      {"load_ms", hundredths(facts.load_ms)},
      {"preprocess_ms", each(totals.stages.preprocess, totals.pictures)},
      {"vision_ms", each(totals.stages.vision, totals.pictures)},
      {"prefill_ms", each(totals.stages.prefill, totals.answers)},
      {"generate_ms_per_token", each(totals.stages.generate, totals.tokens)},
  };
}

/// The metrics that have a value.
void append_scores(json::Object& object, const Scores& scores) {
  for (const MetricInfo& info : all_metrics()) {
    const auto& value = scores[static_cast<std::size_t>(info.metric)];
    if (value) object.emplace_back(info.name, *value);
  }
}

json::Value scores_json(const TaskScores& task, std::size_t contestant) {
  json::Object object = {{"task", task.task}, {"answers", task.contestants[contestant].count()}};
  append_scores(object, task.contestants[contestant].mean());
  return object;
}

json::Value totals_json(const StepTotals& totals) {
  return json::Object{{"answers", totals.answers},
                      {"cosine", totals.cosine_sum / totals.answers},
                      {"lowest_cosine", totals.lowest_cosine},
                      {"max_error", totals.error_sum / totals.answers},
                      {"largest_error", totals.largest_error}};
}

json::Value steps_json(const std::vector<LogitStep>& steps) {
  json::Array cosines, errors;
  for (const LogitStep& step : steps) {
    cosines.emplace_back(step.cosine);
    errors.emplace_back(step.max_error);
  }
  return json::Object{{"cosine", std::move(cosines)}, {"max_error", std::move(errors)}};
}

}  // namespace

json::Object comparison_json(const std::vector<ContestantFacts>& contestants, const Comparison& comparison) {
  json::Array facts, against;
  for (const ContestantFacts& contestant : contestants) facts.push_back(facts_json(contestant));
  for (std::size_t i = 1; i < contestants.size(); ++i) {
    json::Array tasks, steps;
    for (const TaskScores& task : comparison.tasks()) tasks.push_back(scores_json(task, i));
    for (const StepTotals& totals : comparison.steps()[i]) steps.push_back(totals_json(totals));
    against.push_back(json::Object{{"name", contestants[i].name},
                                   {"all", scores_json(comparison.all(), i)},
                                   {"tasks", std::move(tasks)},
                                   {"logits_by_step", std::move(steps)}});
  }
  return {{"reference", contestants[0].name}, {"contestants", std::move(facts)}, {"scores", std::move(against)}};
}

json::Value trial_json(const std::string& image, const std::vector<std::string>& contestants, const Trial& trial) {
  json::Array answers;
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    json::Object answer = {{"name", contestants[i]}, {"text", trial.results[i].text}};
    append_scores(answer, trial.scores[i]);
    if (!trial.steps[i].empty()) answer.emplace_back("logits", steps_json(trial.steps[i]));
    answers.emplace_back(std::move(answer));
  }
  return json::Object{{"image", image}, {"task", trial.job.name()}, {"answers", std::move(answers)}};
}

}  // namespace florence2
