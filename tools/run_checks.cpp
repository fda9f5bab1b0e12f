#include "tools/run_checks.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "model/parse.hpp"
#include "tools/formats.hpp"

namespace florence2 {
namespace {

Error wrong(const char* option, std::string message) { return {ErrorCode::argument, std::move(message), option}; }

std::string asked(const Job& job) {
  const std::string token(job.task_token());
  return token.empty() ? "--prompt" : "task " + token;
}

bool answers_with_classes(const Job& job) {
  return takes_classes(job.task ? answer_rules(*job.task) : AnswerRules{job.answer});
}

bool answers_with_text(const Job& job) { return job.answer == AnswerKind::text; }
bool answers_with_words(const Job& job) { return job.answer == AnswerKind::quads; }

Status check_format(const RunSettings& settings) {
  const FormatInfo& format = format_info(settings.format);
  const std::string name(format.name);
  if (format.place == FormatPlace::folder && settings.output.empty()) {
    return wrong("--format", name + " writes several files: name a folder with -o DIR");
  }
  if (settings.stream && settings.format != Format::text) return wrong("--stream", "goes with --format text");
  const std::vector<Job>& jobs = settings.jobs;
  if (settings.format == Format::yolo && !jobs.empty() && std::all_of(jobs.begin(), jobs.end(), answers_with_text)) {
    return wrong("--format", name + " holds boxes and outlines, " + asked(jobs[0]) + " answers with text");
  }
  return {};
}

Status check_generation(const GenerationOptions& generation) {
  if (generation.sample && generation.num_beams.value_or(1) != 1) {
    return wrong("--beams", "must be 1 when sampling, found \"" + std::to_string(*generation.num_beams) + "\"");
  }
  if (generation.min_new_tokens && generation.max_new_tokens &&
      *generation.min_new_tokens > *generation.max_new_tokens) {
    return wrong("--min-new-tokens", "must be at most --max-new-tokens, found \"" +
                                         std::to_string(*generation.min_new_tokens) + "\" and \"" +
                                         std::to_string(*generation.max_new_tokens) + "\"");
  }
  return {};
}

Status check_answers(const RunSettings& settings, const JobOptions& question) {
  const std::vector<Job>& jobs = settings.jobs;
  if (question.prompts.empty() && settings.answer.prompt_answer != AnswerKind::text) {
    return wrong("--answer", "goes with --prompt");
  }
  if (settings.ocr_lines && std::none_of(jobs.begin(), jobs.end(), answers_with_words)) {
    return wrong("--ocr-lines", "goes with tasks that find text, as ocr_with_region");
  }
  const auto other = std::find_if_not(jobs.begin(), jobs.end(), answers_with_classes);
  if (!settings.answer.classes.empty() && other != jobs.end()) {
    return wrong("--classes", asked(*other) + " does not answer with labelled boxes or outlines");
  }
  return {};
}

}  // namespace

Status check_sources(const RunSettings& settings, const JobOptions& question) {
  const bool pictures = !settings.inputs.names.empty() || !settings.inputs.list.empty();
  if (settings.requests.empty()) {
    if (pictures) return {};
    return Error{ErrorCode::argument, "no picture given; try `florence2 photo.jpg`, or --help", {}};
  }
  if (pictures) return Error{ErrorCode::argument, "names the pictures: leave out others", "--requests"};
  const bool asked = !question.tasks.empty() || !question.prompts.empty() || !question.text.empty() ||
                     !question.regions.empty() || !question.task_file.empty() || !settings.answer.classes.empty();
  if (asked) return Error{ErrorCode::argument, "says what to ask: leave out --task, --text and the like", "--requests"};
  if (settings.stream) return Error{ErrorCode::argument, "does not go with --requests", "--stream"};
  return {};
}

Status check_combinations(const RunSettings& settings, const JobOptions& question) {
  FL_TRY(check_generation(settings.answer.generation));
  if (settings.requests.empty()) FL_TRY(check_answers(settings, question));
  return check_format(settings);
}

}  // namespace florence2
