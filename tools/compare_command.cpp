// `florence2 compare`: the same questions to several precisions or checkpoints, and how far the answers are apart.
#include <cstdio>

#include "tools/commands.hpp"
#include "tools/compare_settings.hpp"
#include "tools/comparison.hpp"
#include "tools/comparison_html.hpp"
#include "tools/interrupt.hpp"
#include "tools/message.hpp"
#include "tools/output.hpp"
#include "tools/output_names.hpp"
#include "tools/peak_memory.hpp"
#include "tools/progress.hpp"

namespace florence2 {
namespace {

/// Errors end the comparison, except those of one picture, which are reported and remembered.
class Compare {
 public:
  explicit Compare(const CompareSettings& settings)
      : settings_(settings), progress_(!settings.run.quiet), comparison_(settings.contestants.size()) {}

  Result<int> execute();

 private:
  std::optional<std::int64_t> peak_memory(const ContestantSpec& spec);
  /// Reports must not replace what is read, nor each other.
  Status check_outputs() const;
  Status load();
  Status compare_on(const Input& input);
  Result<std::vector<Trial>> ask(const ImageView& picture);
  Status compare(Trial& trial);
  Status write();
  RunOptions options();
  std::vector<std::string> names() const;
  std::vector<ContestantFacts> facts() const;

  const CompareSettings& settings_;
  Progress progress_;
  std::vector<Input> files_;
  std::vector<Contestant> contestants_;
  Comparison comparison_;
  ComparisonPage page_;
  json::Array answers_;
  int exit_status_ = 0;  // of the first failure
};

Error stopped() { return {ErrorCode::cancelled, "stopped", {}}; }

RunOptions Compare::options() {
  RunOptions options = settings_.run.answer;
  options.on_step = [](int) { return interrupt_signal() == 0; };
  return options;
}

std::optional<std::int64_t> Compare::peak_memory(const ContestantSpec& spec) {
  return peak_memory_of([&] {
    auto picture = open_input(files_[0], settings_.run.picture);
    if (!picture) return false;
    auto contestant = Contestant::load(spec, settings_.run.threads);
    return contestant && contestant->answer(picture->view(), settings_.run.jobs, options());
  });
}

/// The children that measure memory run first, while there is neither a model nor a thread to disturb them.
Status Compare::load() {
  std::vector<std::optional<std::int64_t>> peaks;
  for (const ContestantSpec& spec : settings_.contestants) {
    progress_.show("measuring the memory of " + spec.precision);
    peaks.push_back(peak_memory(spec));
    if (interrupt_signal() != 0) return stopped();
  }
  for (const ContestantSpec& spec : settings_.contestants) {
    progress_.show("loading " + spec.folder + " in " + spec.precision);
    FL_ASSIGN(Contestant contestant, Contestant::load(spec, settings_.run.threads));
    contestant.facts.peak_bytes = peaks[contestants_.size()];
    if (spec.folder != settings_.contestants[0].folder)
      contestant.facts.name = spec.folder + " " + contestant.facts.name;
    contestants_.push_back(std::move(contestant));
  }
  progress_.clear();
  return {};
}

Status Compare::compare(Trial& trial) {
  const Job& job = trial.job;
  const AnswerFrame frame{job.answer == AnswerKind::text, job.task == Task::ocr || job.task == Task::ocr_with_region ||
                                                              job.task == Task::region_to_ocr};
  const TaskResult& reference = trial.results[0];
  FL_ASSIGN(trial.steps, compare_along(contestants_, reference.prompt, reference.token_ids));
  trial.scores.resize(trial.results.size());
  for (std::size_t i = 1; i < trial.results.size(); ++i) {
    trial.scores[i] = compare_answers(reference, trial.results[i], frame);
    add_logit_scores(trial.steps[i], trial.scores[i]);
  }
  return {};
}

Result<std::vector<Trial>> Compare::ask(const ImageView& picture) {
  const std::vector<Job>& jobs = settings_.run.jobs;
  std::vector<Trial> trials(jobs.size());
  for (Contestant& contestant : contestants_) {
    FL_ASSIGN(std::vector<Result<TaskResult>> results, contestant.answer(picture, jobs, options()));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      if (interrupt_signal() != 0) return stopped();
      if (!results[i]) return results[i].error();
      trials[i].job = jobs[i];
      trials[i].results.push_back(std::move(results[i]).value());
    }
  }
  for (Trial& trial : trials) FL_TRY(compare(trial));
  return trials;
}

Status Compare::compare_on(const Input& input) {
  progress_.show(input.path);
  FL_ASSIGN(const Picture picture, open_input(input, settings_.run.picture));
  FL_ASSIGN(const std::vector<Trial> trials, ask(picture.view()));
  for (const Trial& trial : trials) {
    comparison_.add(trial);
    if (settings_.json) answers_.push_back(trial_json(input.path, names(), trial));
  }
  if (!settings_.html.empty()) FL_TRY(page_.add(input.path, picture.view(), names(), trials));
  return {};
}

std::vector<ContestantFacts> Compare::facts() const {
  std::vector<ContestantFacts> all;
  for (const Contestant& contestant : contestants_) all.push_back(contestant.facts);
  return all;
}

std::vector<std::string> Compare::names() const {
  std::vector<std::string> all;
  for (const Contestant& contestant : contestants_) all.push_back(contestant.facts.name);
  return all;
}

Status Compare::write() {
  if (!settings_.html.empty()) FL_TRY(write_file(settings_.html, page_.document(facts(), comparison_)));
  if (!settings_.json) return write_file(settings_.run.output, comparison_text(facts(), comparison_));
  json::Object report = comparison_json(facts(), comparison_);
  report.emplace_back("answers", std::move(answers_));
  return write_file(settings_.run.output, json::dump(report) + '\n');
}

Status Compare::check_outputs() const {
  std::vector<std::string> files = settings_.run.files_read;
  files.push_back(settings_.run.inputs.list);
  for (const Input& file : files_) files.push_back(file.path);
  OutputNames names(files);
  for (const ContestantSpec& spec : settings_.contestants) names.add_model(spec.folder);
  FL_TRY(names.take(settings_.run.output.empty() ? "-" : settings_.run.output));
  return settings_.html.empty() ? Status() : names.take(settings_.html);
}

Result<int> Compare::execute() {
  FL_ASSIGN(files_, expand_inputs(settings_.run.inputs));
  FL_TRY(check_outputs());
  FL_TRY(load());
  progress_.start_bar(static_cast<int>(files_.size()));
  for (const Input& input : files_) {
    Status compared = compare_on(input);
    progress_.advance();
    progress_.clear();
    if (interrupt_signal() != 0) return 128 + interrupt_signal();
    if (compared) continue;
    Error error = compared.error();
    if (error.where.empty()) error.where = input.path;
    const int status = report(error);
    if (exit_status_ == 0) exit_status_ = status;
  }
  if (comparison_.tasks().empty()) return exit_status_;
  FL_TRY(write());
  return exit_status_;
}

}  // namespace

int compare_command(int argc, char** argv) {
  const auto settings = parse_compare_settings(argc, argv);
  if (!settings) return conclude(settings.error());
  if (!*settings) return 0;
  catch_interrupts();
  return conclude(Compare(**settings).execute());
}

}  // namespace florence2
