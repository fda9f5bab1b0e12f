// `florence2 run`: every job on every picture, the vision tower once a picture.
#include <cstdio>
#include <optional>

#include "tools/answer_writer.hpp"
#include "tools/commands.hpp"
#include "tools/draw.hpp"
#include "tools/draw_names.hpp"
#include "tools/inputs.hpp"
#include "tools/interrupt.hpp"
#include "tools/memory.hpp"
#include "tools/message.hpp"
#include "tools/model_folder.hpp"
#include "tools/progress.hpp"
#include "tools/run_settings.hpp"
#include "tools/stage_totals.hpp"
#include "tools/stopwatch.hpp"

namespace florence2 {
namespace {

/// A Status below means: the whole run must end. What goes wrong with one picture is reported and remembered instead.
class Run {
 public:
  explicit Run(const RunSettings& settings) : settings_(settings), progress_(!settings.quiet) {}

  int execute();

 private:
  Status prepare();
  Status load_model();
  void describe_model() const;
  Status ask_about_all();
  Status ask_about(const std::string& name);
  Status answer(const Picture& picture, const EncodedImage& image, const PictureFacts& facts, const Job& job);
  Status draw(const Picture& picture, const std::string& name, const Job& job, const Answer& answer);
  /// Reports what went wrong with one picture, or with one job on it.
  Status fail(const std::string& image, std::span<const Job> jobs, const Error& error);
  int finish(const Status& status);

  const RunSettings& settings_;
  Progress progress_;
  std::vector<std::string> files_;
  std::optional<Runner> runner_;
  std::optional<Model> model_;
  std::optional<AnswerWriter> writer_;
  std::optional<DrawNames> draw_names_;
  StageTotals totals_;
  int pictures_done_ = 0;
  int exit_status_ = 0;  // of the first failure
};

Status stopped() { return Error{ErrorCode::cancelled, "stopped", {}}; }

Status Run::prepare() {
  FL_ASSIGN(files_, expand_inputs(settings_.images));
  FL_ASSIGN(Output output, Output::open(settings_.output));
  const bool several_files = files_.size() > 1, several_jobs = settings_.jobs.size() > 1;
  writer_.emplace(std::move(output), settings_.format, settings_.compat, several_files || several_jobs);
  draw_names_.emplace(settings_.draw, several_files, several_jobs);
  return load_model();
}

Status Run::load_model() {
  FL_ASSIGN(const std::string folder, find_model(settings_.model, settings_.quiet));
  FL_TRY(check_memory(folder));
  Stopwatch watch;
  progress_.show("loading " + folder);
  ModelOptions options{
      .threads = settings_.threads, .check_weights = settings_.check_weights, .precision = settings_.precision};
  FL_ASSIGN(model_, Model::load(folder, options));
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

Status Run::ask_about_all() {
  for (const std::string& name : files_) {
    if (interrupt_signal() != 0) return stopped();
    FL_TRY(ask_about(name));
    ++pictures_done_;
  }
  return {};
}

Status Run::ask_about(const std::string& name) {
  Stopwatch watch;
  const auto picture = open_input(name, settings_.picture);
  if (interrupt_signal() != 0) return stopped();
  if (!picture) return fail(name, settings_.jobs, picture.error());
  if (!settings_.quiet) {
    for (const std::string& warning : picture->warnings) print_note(name + ": " + warning);
  }
  PictureFacts facts{name, picture->width, picture->height, picture->frames, watch.lap(), {}, model_->info().precision};
  progress_.show(name + ": looking");
  const auto image = runner_->encode(picture->view());
  progress_.clear();
  if (!image) return fail(name, settings_.jobs, image.error());
  facts.encode = image->timings();
  totals_.add_picture(facts.decode_ms, facts.encode);
  for (const Job& job : settings_.jobs) FL_TRY(answer(*picture, *image, facts, job));
  return {};
}

Status Run::answer(const Picture& picture, const EncodedImage& image, const PictureFacts& facts, const Job& job) {
  RunOptions options{.text = job.text,
                     .region = job.region,
                     .generation = settings_.generation,
                     .compat = settings_.compat,
                     .on_step = {}};
  options.on_step = [&](int tokens) {
    progress_.show(facts.name + " " + std::string(job.task_token()) + ": token " + std::to_string(tokens));
    return interrupt_signal() == 0;
  };
  const auto result =
      job.task ? runner_->run(image, *job.task, options) : runner_->run_prompt(image, job.prompt, options);
  progress_.clear();
  if (interrupt_signal() != 0) return stopped();
  if (!result) return fail(facts.name, {&job, 1}, result.error());
  totals_.add_answer(*result);
  if (!settings_.draw.empty()) FL_TRY(draw(picture, facts.name, job, result->answer));
  return writer_->answer(facts, job, *result);
}

Status Run::draw(const Picture& picture, const std::string& name, const Job& job, const Answer& answer) {
  FL_ASSIGN(const std::string png, encode_png(draw_answer(picture.view(), answer, job.region)));
  return write_file(draw_names_->next(name, job), png);
}

Status Run::fail(const std::string& image, std::span<const Job> jobs, const Error& error) {
  Error named = error;
  if (named.where.empty()) named.where = image == "-" ? "standard input" : image;
  const int status = report(named);
  if (exit_status_ == 0) exit_status_ = status;
  for (const Job& job : jobs) FL_TRY(writer_->failure(image, job, named));
  return {};
}

int Run::finish(const Status& status) {
  const int signal = interrupt_signal();
  if (!status && signal == 0) {
    const bool reader_left = status.error().code == ErrorCode::cancelled;
    return reader_left ? exit_status_ : report(status.error());
  }
  const Status finished = writer_ ? writer_->finish() : Status();
  if (settings_.timings) std::fputs(totals_.table().c_str(), stderr);
  if (signal != 0) {
    std::fprintf(stderr, "florence2: stopped; %d of %zu pictures done\n", pictures_done_, files_.size());
    return 128 + signal;
  }
  if (!finished && finished.error().code != ErrorCode::cancelled) return report(finished.error());
  return exit_status_;
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
  if (!settings) return report(settings.error());
  if (!*settings) return 0;
  catch_interrupts();
  return Run(**settings).execute();
}

}  // namespace florence2
