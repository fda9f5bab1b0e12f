// `florence2 run`: every job on every picture, the vision tower once a picture.
#include <cstdio>
#include <optional>

#include "core/stopwatch.hpp"
#include "tools/answer_writer.hpp"
#include "tools/commands.hpp"
#include "tools/inputs.hpp"
#include "tools/interrupt.hpp"
#include "tools/memory.hpp"
#include "tools/message.hpp"
#include "tools/model_folder.hpp"
#include "tools/picture_outputs.hpp"
#include "tools/progress.hpp"
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
  Status open_outputs();
  Status load_model();
  void describe_model() const;
  Status ask_about_all();
  Status ask_about(const Input& input);
  /// False: the job failed, which has been reported.
  Result<bool> answer(const EncodedImage& image, const PictureFacts& facts, const Job& job);
  Status complete(const PictureFacts& facts);
  /// Reports what went wrong with one picture, or with one job on it.
  Status fail(const std::string& image, std::span<const Job> jobs, const Error& error);
  Status finish_outputs();
  int finish(const Status& status);

  const RunSettings& settings_;
  Progress progress_;
  std::vector<Input> files_;
  std::optional<Runner> runner_;
  std::optional<Model> model_;
  std::vector<Writer> writers_;
  StageTotals totals_;
  int pictures_done_ = 0;
  int exit_status_ = 0;  // of the first failure
};

Status stopped() { return Error{ErrorCode::cancelled, "stopped", {}}; }

Status Run::prepare() {
  FL_ASSIGN(files_, expand_inputs(settings_.inputs));
  FL_TRY(open_outputs());
  return load_model();
}

Status Run::open_outputs() {
  const bool several_files = files_.size() > 1, several_jobs = settings_.jobs.size() > 1;
  FL_ASSIGN(Writer answers, make_answer_writer(settings_, several_files || several_jobs));
  writers_.push_back(std::move(answers));
  if (!settings_.draw.empty()) writers_.push_back(draw_writer({settings_.draw, several_files, several_jobs}));
  if (!settings_.masks.empty()) {
    FL_ASSIGN(OutputFolder folder, OutputFolder::open(settings_.masks));
    writers_.push_back(masks_writer(std::move(folder)));
  }
  if (!settings_.crops.empty()) {
    FL_ASSIGN(OutputFolder folder, OutputFolder::open(settings_.crops));
    writers_.push_back(crops_writer(std::move(folder)));
  }
  return {};
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
  progress_.start_bar(static_cast<int>(files_.size()));
  for (const Input& input : files_) {
    if (interrupt_signal() != 0) return stopped();
    FL_TRY(ask_about(input));
    progress_.advance();
    ++pictures_done_;
  }
  return {};
}

Status Run::ask_about(const Input& input) {
  Stopwatch watch;
  const std::string& name = input.path;
  const auto picture = open_input(name, settings_.picture);
  if (interrupt_signal() != 0) return stopped();
  if (!picture) return fail(name, settings_.jobs, picture.error());
  if (!settings_.quiet) {
    for (const std::string& warning : picture->warnings) print_note(name + ": " + warning);
  }
  PictureFacts facts{
      input, pictures_done_,          picture->view(), picture->width, picture->height, picture->frames, watch.lap(),
      {},    model_->info().precision};
  progress_.show(name + ": looking");
  const auto image = runner_->encode(picture->view());
  progress_.clear();
  if (!image) return fail(name, settings_.jobs, image.error());
  facts.encode = image->timings();
  totals_.add_picture(facts.decode_ms, facts.encode);
  bool all = true;
  for (const Job& job : settings_.jobs) {
    FL_ASSIGN(const bool answered, answer(*image, facts, job));
    all = all && answered;
  }
  return all ? complete(facts) : Status();
}

Result<bool> Run::answer(const EncodedImage& image, const PictureFacts& facts, const Job& job) {
  RunOptions options{.text = job.text,
                     .region = job.region,
                     .generation = settings_.generation,
                     .compat = settings_.compat,
                     .on_step = {}};
  options.on_step = [&](int tokens) {
    progress_.show(facts.input.path + " " + std::string(job.task_token()) + ": token " + std::to_string(tokens));
    return interrupt_signal() == 0;
  };
  const auto result =
      job.task ? runner_->run(image, *job.task, options) : runner_->run_prompt(image, job.prompt, options);
  progress_.clear();
  if (interrupt_signal() != 0) return stopped().error();
  if (!result) {
    FL_TRY(fail(facts.input.path, {&job, 1}, result.error()));
    return false;
  }
  totals_.add_answer(*result);
  for (const Writer& writer : writers_) FL_TRY(writer->answer(facts, job, *result));
  return true;
}

/// A file that cannot be created concerns this picture alone; a full disk, say, ends the run.
Status Run::complete(const PictureFacts& facts) {
  for (const Writer& writer : writers_) {
    const Status written = writer->picture_done(facts);
    if (written) continue;
    if (written.error().code != ErrorCode::cannot_create) return written;
    FL_TRY(fail(facts.input.path, settings_.jobs, written.error()));
  }
  return {};
}

Status Run::fail(const std::string& image, std::span<const Job> jobs, const Error& error) {
  Error named = error;
  if (named.where.empty()) named.where = image == "-" ? "standard input" : image;
  progress_.clear();
  const int status = report(named);
  if (exit_status_ == 0) exit_status_ = status;
  for (const Writer& writer : writers_) {
    for (const Job& job : jobs) FL_TRY(writer->failure(image, job, named));
  }
  return {};
}

Status Run::finish_outputs() {
  for (const Writer& writer : writers_) FL_TRY(writer->finish());
  return {};
}

int Run::finish(const Status& status) {
  const int signal = interrupt_signal();
  if (!status && signal == 0) {
    const bool reader_left = status.error().code == ErrorCode::cancelled;
    return reader_left ? exit_status_ : report(status.error());
  }
  const Status finished = finish_outputs();
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
