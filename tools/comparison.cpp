#include "tools/comparison.hpp"

#include <algorithm>
#include <cstdio>

#include "tools/table.hpp"

namespace florence2 {
namespace {

constexpr double kMegabyte = 1e6;

std::string decimals(double value, int places) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", places, value);
  return text;
}

double each(double total, std::int64_t count) { return count == 0 ? 0 : total / static_cast<double>(count); }

bool has_value(const Comparison& comparison, std::size_t contestant, std::size_t metric) {
  return comparison.all().contestants[contestant].mean()[metric].has_value();
}

std::vector<std::string> scores_row(const TaskScores& scores, std::size_t contestant,
                                    const std::vector<std::size_t>& metrics) {
  const MeanScores& sums = scores.contestants[contestant];
  const Scores means = sums.mean();
  std::vector<std::string> row = {scores.task, std::to_string(sums.count())};
  for (const std::size_t metric : metrics) {
    row.push_back(means[metric] ? decimals(*means[metric], all_metrics()[metric].decimals) : "-");
  }
  return row;
}

std::string aligned(const ComparisonTable& table) {
  std::vector<TableRow> rows = {table.headings};
  rows.insert(rows.end(), table.rows.begin(), table.rows.end());
  return align_table(rows);
}

}  // namespace

TaskScores& Comparison::scores_of(const std::string& task) {
  const auto found =
      std::find_if(tasks_.begin(), tasks_.end(), [&](const TaskScores& scores) { return scores.task == task; });
  if (found != tasks_.end()) return *found;
  tasks_.push_back({task, std::vector<MeanScores>(steps_.size())});
  return tasks_.back();
}

void Comparison::add(const Trial& trial) {
  TaskScores& task = scores_of(trial.job.name());
  for (std::size_t i = 1; i < trial.scores.size(); ++i) {
    task.contestants[i].add(trial.scores[i]);
    all_.contestants[i].add(trial.scores[i]);
    auto& totals = steps_[i];
    totals.resize(std::max(totals.size(), trial.steps[i].size()));
    for (std::size_t step = 0; step < trial.steps[i].size(); ++step) {
      const LogitStep& found = trial.steps[i][step];
      ++totals[step].answers;
      totals[step].cosine_sum += found.cosine;
      totals[step].lowest_cosine = std::min(totals[step].lowest_cosine, found.cosine);
      totals[step].error_sum += found.max_error;
      totals[step].largest_error = std::max(totals[step].largest_error, found.max_error);
    }
  }
}

ComparisonTable facts_table(const std::vector<ContestantFacts>& contestants) {
  ComparisonTable table{{""}, {""}, {}};
  for (const ContestantFacts& facts : contestants) {
    table.headings.push_back(facts.name);
    table.explanations.push_back(facts.model.directory);
  }
  const auto add = [&](const char* name, const auto& cell) {
    std::vector<std::string> row = {name};
    for (const ContestantFacts& facts : contestants) row.push_back(cell(facts));
    table.rows.push_back(std::move(row));
  };
  using Facts = ContestantFacts;
  add("weights on disk, MB", [](const Facts& f) { return decimals(static_cast<double>(f.file_bytes) / kMegabyte, 1); });
  add("weights in memory, MB",
      [](const Facts& f) { return decimals(static_cast<double>(f.model.weight_bytes) / kMegabyte, 1); });
  add("peak memory, MB", [](const Facts& f) {
    return f.peak_bytes ? decimals(static_cast<double>(*f.peak_bytes) / kMegabyte, 1) : std::string("-");
  });
  add("load, ms", [](const Facts& f) { return decimals(f.load_ms, 1); });
  add("preprocess, ms a picture",
      [](const Facts& f) { return decimals(each(f.totals.stages.preprocess, f.totals.pictures), 1); });
  add("vision, ms a picture",
      [](const Facts& f) { return decimals(each(f.totals.stages.vision, f.totals.pictures), 1); });
  add("prefill, ms an answer",
      [](const Facts& f) { return decimals(each(f.totals.stages.prefill, f.totals.answers), 1); });
  add("generate, ms a token",
      [](const Facts& f) { return decimals(each(f.totals.stages.generate, f.totals.tokens), 2); });
  return table;
}

ComparisonTable scores_table(const Comparison& comparison, std::size_t contestant) {
  ComparisonTable table{{"task", "answers"}, {"", ""}, {}};
  std::vector<std::size_t> metrics;
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    if (!has_value(comparison, contestant, i)) continue;
    metrics.push_back(i);
    table.headings.emplace_back(all_metrics()[i].heading);
    table.explanations.emplace_back(all_metrics()[i].description);
  }
  for (const TaskScores& task : comparison.tasks()) table.rows.push_back(scores_row(task, contestant, metrics));
  if (comparison.tasks().size() > 1) table.rows.push_back(scores_row(comparison.all(), contestant, metrics));
  return table;
}

std::string comparison_text(const std::vector<ContestantFacts>& contestants, const Comparison& comparison) {
  std::string text = aligned(facts_table(contestants));
  std::vector<TableRow> legend;
  for (std::size_t i = 1; i < contestants.size(); ++i) {
    const ComparisonTable table = scores_table(comparison, i);
    text += "\n" + contestants[i].name + " against " + contestants[0].name + "\n" + aligned(table);
    for (std::size_t column = 2; column < table.headings.size(); ++column) {
      TableRow row = {table.headings[column], table.explanations[column]};
      if (std::find(legend.begin(), legend.end(), row) == legend.end()) legend.push_back(std::move(row));
    }
  }
  text += '\n';
  for (const TableRow& row : legend) text += row[0] + ": " + row[1] + '\n';
  return text;
}

}  // namespace florence2
