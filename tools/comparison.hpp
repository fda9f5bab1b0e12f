// What `florence2 compare` found, summed up, and how it is written down.
#pragma once

#include <string>
#include <vector>

#include "core/json.hpp"
#include "tools/compare_metrics.hpp"
#include "tools/contestant.hpp"

namespace florence2 {

/// One question about one picture, answered by all contestants; the first of them is the reference.
struct Trial {
  Job job;
  std::vector<TaskResult> results;
  std::vector<Scores> scores;                 ///< against the reference; its own stay empty
  std::vector<std::vector<LogitStep>> steps;  ///< of compare_along()
};

/// Logits at one step over all answers that are so long.
struct StepTotals {
  int answers = 0;
  double cosine_sum = 0, lowest_cosine = 1;
  double error_sum = 0, largest_error = 0;
};

/// Scores of one task, or of all: one a contestant.
struct TaskScores {
  std::string task;
  std::vector<MeanScores> contestants;
};

class Comparison {
 public:
  explicit Comparison(std::size_t contestants)
      : all_{"all", std::vector<MeanScores>(contestants)}, steps_(contestants) {}

  void add(const Trial& trial);

  const std::vector<TaskScores>& tasks() const { return tasks_; }  ///< in the order asked first
  const TaskScores& all() const { return all_; }
  /// By contestant and step.
  const std::vector<std::vector<StepTotals>>& steps() const { return steps_; }

 private:
  TaskScores& scores_of(const std::string& task);

  std::vector<TaskScores> tasks_;
  TaskScores all_;
  std::vector<std::vector<StepTotals>> steps_;
};

/// A line of a table: what it is about, then a cell a column.
struct ComparisonTable {
  std::vector<std::string> headings;
  std::vector<std::string> explanations;  ///< of the headings
  std::vector<std::vector<std::string>> rows;
};

/// Sizes, memory and times: a row each, a column a contestant.
ComparisonTable facts_table(const std::vector<ContestantFacts>& contestants);
/// Scores of one contestant: a row a task, a column for each metric that has a value somewhere.
ComparisonTable scores_table(const Comparison& comparison, std::size_t contestant);

/// For a terminal.
std::string comparison_text(const std::vector<ContestantFacts>& contestants, const Comparison& comparison);

/// "contestants": size, memory and times; "scores": by contestant and task; "logits_by_step".
json::Object comparison_json(const std::vector<ContestantFacts>& contestants, const Comparison& comparison);
/// One answer.
json::Value trial_json(const std::string& image, const std::vector<std::string>& contestants, const Trial& trial);

}  // namespace florence2
