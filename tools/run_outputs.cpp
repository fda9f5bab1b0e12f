#include "tools/run_outputs.hpp"

#include <algorithm>

#include "tools/picture_outputs.hpp"

namespace florence2 {
namespace {

bool several_jobs(std::span<const Assignment> assignments) {
  return std::ranges::any_of(assignments, [](const Assignment& assignment) { return assignment.jobs.size() > 1; });
}

SharedNames names_besides_inputs(const RunSettings& settings, std::span<const Assignment> assignments,
                                 const std::string& model_folder) {
  std::vector<std::string> files = settings.files_read;
  files.insert(files.end(), {settings.requests, settings.inputs.list});
  for (const Assignment& assignment : assignments) files.push_back(assignment.input.path);
  auto names = std::make_shared<OutputNames>(files);
  names->add_model(model_folder);
  for (const AdapterOptions& adapter : settings.adapters) names->add_model(adapter.directory);
  return names;
}

}  // namespace

Result<RunOutputs> RunOutputs::open(const RunSettings& settings, std::span<const Assignment> assignments,
                                    const std::string& model_folder) {
  const SharedNames names = names_besides_inputs(settings, assignments, model_folder);
  const bool headings = assignments.size() > 1 || several_jobs(assignments);
  RunOutputs all;
  FL_ASSIGN(Writer answers, make_answer_writer(settings, headings, names));
  all.outputs_.push_back({std::move(answers)});
  if (!settings.draw.empty()) FL_TRY(all.add_drawing(settings, assignments, names));
  if (!settings.masks.empty()) {
    FL_ASSIGN(OutputFolder folder, OutputFolder::open(settings.masks, true, names));
    all.outputs_.push_back({masks_writer(std::move(folder))});
  }
  if (!settings.crops.empty()) {
    FL_ASSIGN(OutputFolder folder, OutputFolder::open(settings.crops, true, names));
    all.outputs_.push_back({crops_writer(std::move(folder))});
  }
  return all;
}

Status RunOutputs::add_drawing(const RunSettings& settings, std::span<const Assignment> assignments,
                               const SharedNames& names) {
  const DrawOptions options{settings.draw, assignments.size() > 1, several_jobs(assignments), names};
  for (const Assignment& assignment : assignments) {
    for (const Job& job : assignment.jobs) FL_TRY(check_draw_name(options, assignment.input, job));
  }
  FL_ASSIGN(Writer drawing, draw_writer(options));
  outputs_.push_back({std::move(drawing)});
  return {};
}

std::vector<Error> RunOutputs::tell(const std::function<Status(AnswerWriter&)>& tell) {
  std::vector<Error> errors;
  for (One& output : outputs_) {
    if (output.lost) continue;
    const Status written = tell(*output.writer);
    if (written) continue;
    output.lost = !survives(written.error());
    if (!output.lost) errors.push_back(written.error());
  }
  return errors;
}

bool RunOutputs::survives(const Error& error) {
  if (error.code != ErrorCode::io && error.code != ErrorCode::cancelled) return true;
  if (!lost_ || lost_->code == ErrorCode::cancelled) lost_ = error;
  return false;
}

bool RunOutputs::all_lost() const {
  return std::ranges::all_of(outputs_, [](const One& output) { return output.lost; });
}

std::vector<Error> RunOutputs::finish() {
  std::vector<Error> errors;
  for (const One& output : outputs_) {
    const Status finished = output.writer->finish();
    if (!finished) errors.push_back(finished.error());
  }
  return errors;
}

}  // namespace florence2
