// `florence2 run`: every job on every picture, the vision tower once a picture.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>

#include "core/stopwatch.hpp"
#include "tools/answer_filter.hpp"
#include "tools/commands.hpp"
#include "tools/interrupt.hpp"
#include "tools/memory.hpp"
#include "tools/message.hpp"
#include "tools/model_folder.hpp"
#include "tools/picture_batch.hpp"
#include "tools/progress.hpp"
#include "tools/requests.hpp"
#include "tools/run_outputs.hpp"
#include "tools/run_settings.hpp"
#include "tools/stage_totals.hpp"

namespace florence2 {
namespace {

/// A Status below means: the whole run must end. What goes wrong with one picture is reported and remembered instead.
class Run {
 public:
  explicit Run(const RunSettings& settings) : settings_(settings), progress_(!settings.quiet) {}

  int execute();

 private:
  Status prepare();
  Status collect_assignments();
  void note_lost_texts() const;
  Status load_model();
  void describe_model() const;

  Status ask_about_all();
  Status ask_about(std::span<const Assignment> assignments);
  std::vector<PictureSlot> decode(std::span<const Assignment> assignments);
  /// All jobs together; with --stream one after the other, each written down before the next.
  Status ask(std::span<PictureSlot> slots);
  Status stream(PictureSlot& slot);
  /// What `jobs` have in common, with the callbacks that show progress and stop at a signal.
  RunOptions options_for(const std::string& what);

  Status write_down(PictureSlot& slot);
  Status write_result(const PictureSlot& slot, const Job& job, Result<TaskResult>& result);
  Status write_answer(const PictureSlot& slot, const Job& job, TaskResult& result);
  /// What people should know about it, on standard error.
  void describe_answer(const std::string& image, const Job& job, const TaskResult& result);
  Status complete(const PictureSlot& slot);
  /// Error when no output is left that takes more.
  Status tell_outputs(const std::string& image, const std::function<Status(AnswerWriter&)>& tell);
  /// Writes that there is no answer to `jobs` on one picture.
  Status fail(const std::string& image, std::span<const Job> jobs, const Error& error);
  /// On standard error and in the exit status.
  void report_about(const std::string& image, const Error& error);
  int finish(const Status& status);

  const RunSettings& settings_;
  Progress progress_;
  std::vector<Assignment> assignments_;
  std::string model_folder_;
  std::optional<Runner> runner_;
  std::optional<Model> model_;
  RunOutputs outputs_;
  StageTotals totals_;
  int pictures_done_ = 0;
  int exit_status_ = 0;  // of the first failure
};

Status stopped() { return Error{ErrorCode::cancelled, "stopped", {}}; }

/// Once, and before the others.
void put_first(std::vector<Error>& errors, const Error& error) {
  std::erase_if(errors, [&](const Error& other) { return other.text() == error.text(); });
  errors.insert(errors.begin(), error);
}

/// The error with the picture's name, unless it has one.
Error with_name(const std::string& image, Error error) {
  if (error.where.empty()) error.where = image == "-" ? "standard input" : image;
  return error;
}

// --- Before the first picture -------------------------------------------------------------------------

Status Run::prepare() {
  FL_TRY(collect_assignments());
  FL_ASSIGN(model_folder_, find_model(settings_.model, settings_.quiet));
  if (!settings_.quiet) note_lost_texts();
  FL_ASSIGN(outputs_, RunOutputs::open(settings_, assignments_, model_folder_));
  return load_model();
}

Status Run::collect_assignments() {
  if (!settings_.requests.empty()) {
    FL_ASSIGN(assignments_, read_requests(settings_.requests, settings_.answer));
    return {};
  }
  FL_ASSIGN(std::vector<Input> files, expand_inputs(settings_.inputs));
  for (Input& file : files) assignments_.push_back({std::move(file), settings_.jobs});
  return {};
}

void Run::note_lost_texts() const {
  if (settings_.format != Format::yolo) return;
  for (const Assignment& assignment : assignments_) {
    for (const Job& job : assignment.jobs) {
      if (job.answer != AnswerKind::text) continue;
      return print_note("yolo holds boxes and outlines: the text of " + job.name() + " is left out");
    }
  }
}

Status Run::load_model() {
  FL_TRY(check_memory(model_folder_));
  Stopwatch watch;
  progress_.show("loading " + model_folder_);
  ModelOptions options{.threads = settings_.threads,
                       .check_weights = settings_.check_weights,
                       .precision = settings_.precision,
                       .adapters = settings_.adapters};
  FL_ASSIGN(model_, Model::load(model_folder_, options));
  FL_ASSIGN(runner_, Runner::create(*model_, {.threads = settings_.threads}));
  totals_.load = watch.lap();
  progress_.clear();
  describe_model();
  return {};
}

void Run::describe_model() const {
  const ModelInfo& info = model_->info();
  if (!settings_.quiet) {
    for (const std::string& warning : info.warnings) print_note(warning);
    if (info.isa == "scalar") print_note("using the scalar kernels (slow)");
  }
  if (!settings_.verbose) return;
  print_note(build_description());
  print_note(info.directory + ": " + info.size_name + ", " + std::to_string(info.parameters / 1'000'000) +
             " million parameters, " + info.storage + ", " + std::to_string(info.weight_bytes / 1'000'000) +
             " MB in memory, " + info.precision + ", kernels: " + info.isa);
}

// --- Pictures -----------------------------------------------------------------------------------------

Status Run::ask_about_all() {
  progress_.start_bar(static_cast<int>(assignments_.size()));
  std::span<const Assignment> rest(assignments_);
  while (!rest.empty()) {
    if (interrupt_signal() != 0) return stopped();
    const std::size_t count = std::min(rest.size(), static_cast<std::size_t>(settings_.batch));
    FL_TRY(ask_about(rest.first(count)));
    rest = rest.subspan(count);
  }
  return {};
}

Status Run::ask_about(std::span<const Assignment> assignments) {
  std::vector<PictureSlot> slots = decode(assignments);
  if (interrupt_signal() != 0) return stopped();
  progress_.show(assignments[0].input.path + ": looking");
  encode_pictures(*runner_, slots);
  progress_.clear();
  if (!settings_.stream) FL_TRY(ask(slots));
  for (PictureSlot& slot : slots) {
    FL_TRY(settings_.stream ? stream(slot) : write_down(slot));
    if (outputs_.lost() && outputs_.lost()->code != ErrorCode::cancelled) return *outputs_.lost();
    progress_.advance();
    ++pictures_done_;
  }
  return {};
}

std::vector<PictureSlot> Run::decode(std::span<const Assignment> assignments) {
  std::vector<PictureSlot> slots(assignments.size());
  for (std::size_t i = 0; i < assignments.size() && interrupt_signal() == 0; ++i) {
    slots[i].facts.input = assignments[i].input;
    slots[i].jobs = assignments[i].jobs;
    slots[i].facts.index = pictures_done_ + static_cast<int>(i);
    slots[i].facts.precision = model_->info().precision;
    decode_picture(slots[i], settings_.picture);
    if (settings_.quiet || !slots[i].picture) continue;
    for (const std::string& warning : slots[i].picture->warnings)
      print_note(assignments[i].input.path + ": " + warning);
  }
  return slots;
}

RunOptions Run::options_for(const std::string& what) {
  RunOptions options = settings_.answer;
  options.on_step = [this, what](int tokens) {
    progress_.show(what + ": token " + std::to_string(tokens));
    if (was_questioned()) progress_.print();
    return interrupt_signal() == 0;
  };
  return options;
}

Status Run::ask(std::span<PictureSlot> slots) {
  const std::string what = slots.size() == 1 ? slots[0].facts.input.path : std::to_string(slots.size()) + " pictures";
  const Status asked = ask_pictures(*runner_, slots, options_for(what));
  progress_.clear();
  if (interrupt_signal() != 0) return stopped();
  return asked;
}

Status Run::stream(PictureSlot& slot) {
  if (slot.error) return write_down(slot);
  const std::span<const Job> jobs = slot.jobs;
  bool all = true;
  totals_.add_picture(slot.facts.decode_ms, slot.facts.encode);
  for (const Job& job : jobs) {
    slot.jobs = {&job, 1};
    RunOptions options = options_for(slot.facts.input.path);
    Status written;
    const auto show = [&](std::string_view piece) {
      progress_.pause();
      written = tell_outputs(slot.facts.input.path,
                             [&](AnswerWriter& writer) { return writer.piece(slot.facts, job, piece); });
      return written.has_value();
    };
    if (job.answer == AnswerKind::text) options.on_text = show;
    const Status asked = ask_pictures(*runner_, {&slot, 1}, options);
    progress_.clear();
    FL_TRY(std::move(written));
    if (interrupt_signal() != 0) return stopped();
    FL_TRY(asked);
    FL_TRY(write_result(slot, job, slot.results[0]));
    progress_.resume();
    all = all && slot.results[0].has_value();
  }
  slot.jobs = jobs;
  return all ? complete(slot) : Status();
}

// --- Answers ------------------------------------------------------------------------------------------

Status Run::write_down(PictureSlot& slot) {
  if (slot.error) return fail(slot.facts.input.path, slot.jobs, *slot.error);
  totals_.add_picture(slot.facts.decode_ms, slot.facts.encode);
  bool all = true;
  for (std::size_t i = 0; i < slot.jobs.size(); ++i) {
    FL_TRY(write_result(slot, slot.jobs[i], slot.results[i]));
    all = all && slot.results[i].has_value();
  }
  return all ? complete(slot) : Status();
}

Status Run::write_result(const PictureSlot& slot, const Job& job, Result<TaskResult>& result) {
  if (!result) return fail(slot.facts.input.path, {&job, 1}, result.error());
  return write_answer(slot, job, *result);
}

Status Run::write_answer(const PictureSlot& slot, const Job& job, TaskResult& result) {
  totals_.add_answer(result);
  filter_result(result, settings_);
  FL_TRY(tell_outputs(slot.facts.input.path,
                      [&](AnswerWriter& writer) { return writer.answer(slot.facts, job, result); }));
  if (!settings_.quiet)
    describe_answer(slot.facts.input.path, job, result);  // last: the line of a streamed answer ends
  return {};
}

void Run::describe_answer(const std::string& image, const Job& job, const TaskResult& result) {
  progress_.clear();
  for (const std::string& label : result.absent_classes) print_note(image + ": no " + label);
  if (result.finish_reason == FinishReason::length) {
    print_note(image + ": the answer to " + job.name() + " was cut after " + std::to_string(result.log_probs.size()) +
               " tokens (--max-new-tokens)");
  }
}

Status Run::complete(const PictureSlot& slot) {
  return tell_outputs(slot.facts.input.path, [&](AnswerWriter& writer) { return writer.picture_done(slot.facts); });
}

Status Run::tell_outputs(const std::string& image, const std::function<Status(AnswerWriter&)>& tell) {
  for (const Error& error : outputs_.tell(tell)) report_about(image, error);
  return outputs_.all_lost() ? Status(*outputs_.lost()) : Status();
}

Status Run::fail(const std::string& image, std::span<const Job> jobs, const Error& error) {
  const Error named = with_name(image, error);
  Status written = tell_outputs(image, [&](AnswerWriter& writer) -> Status {
    for (const Job& job : jobs) FL_TRY(writer.failure(image, job, named));
    return {};
  });
  report_about(image, named);  // after the writers, which end the line of a streamed answer
  return written;
}

void Run::report_about(const std::string& image, const Error& error) {
  progress_.clear();
  const int status = report(with_name(image, error));
  if (exit_status_ == 0) exit_status_ = status;
}

int Run::finish(const Status& status) {
  const int signal = interrupt_signal();
  std::vector<Error> errors;
  if (runner_) errors = outputs_.finish();  // else nothing was asked, and files stay as they were
  if (outputs_.lost()) put_first(errors, *outputs_.lost());
  if (!status && signal == 0) put_first(errors, status.error());
  std::erase_if(errors, [](const Error& error) { return error.code == ErrorCode::cancelled; });  // the reader left
  for (const Error& error : errors) report(error);
  if (runner_ && settings_.timings) std::fputs(totals_.table().c_str(), stderr);
  if (signal != 0) {
    std::fprintf(stderr, "florence2: stopped; %d of %zu pictures done\n", pictures_done_, assignments_.size());
    return 128 + signal;
  }
  return errors.empty() ? exit_status_ : exit_status(errors.front().code);
}

int Run::execute() {
  Status status = prepare();
  if (status) status = ask_about_all();
  progress_.clear();
  return finish(status);
}

}  // namespace

int run_command(int argc, char** argv) {
  const auto settings = parse_run_settings(argc, argv);
  if (!settings) return conclude(settings.error());
  if (!*settings) return 0;
  catch_interrupts();
  return Run(**settings).execute();
}

}  // namespace florence2
