#include "tools/run_settings.hpp"

#include <charconv>

#include "tools/common_options.hpp"
#include "tools/formats.hpp"
#include "tools/picture_outputs.hpp"
#include "tools/task_names.hpp"

namespace florence2 {
namespace {

constexpr int kMostBeams = 16, kMostNewTokens = 1'000'000, kMostNgram = 100, kMostLengthPenalty = 10;

constexpr const char* kHeading = R"(florence2: asks Florence-2 about pictures, on the CPU

  florence2 photo.jpg                                   one sentence about the picture
  florence2 -p od photo.jpg                             objects with boxes and scores
  florence2 -p od --draw boxes.png photo.jpg            the same, drawn on the picture
  florence2 -p caption_to_phrase_grounding --text "a red car and a dog" photo.jpg
  florence2 -p region_to_category --region 40,60,220,180 photo.jpg
  florence2 -p caption -p od -f jsonl -o answers.jsonl pictures/*.jpg

Usage: florence2 [run] [options] IMAGE...    IMAGE: a file, a folder, or - for standard input
       florence2 bench       time each stage on this machine
       florence2 info        what a checkpoint holds and what this CPU offers
       florence2 tokenize | parse | preprocess         the edges of the model, alone
       Each of them answers --help.
)";

/// The list of tasks for the help text, below the examples.
std::string task_list() {
  std::string text = "\nTasks (-p; upper case and <> are fine too):\n";
  for (const TaskInfo& info : all_tasks()) {
    const std::string name = short_name(info);
    text.append("  ").append(name).append(36 - name.size(), ' ').append(info.description);
    if (info.input == TaskInput::text) text += "  (--text)";
    if (info.input == TaskInput::region) text += "  (--region)";
    text += '\n';
  }
  return text;
}

Status parse_length_penalty(const std::string& value, std::optional<float>& penalty) {
  float number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, failure] = std::from_chars(value.data(), end, number);
  if (failure != std::errc() || stop != end || !(number >= -kMostLengthPenalty && number <= kMostLengthPenalty)) {
    return Error{ErrorCode::argument, "must be a number in -10…10, found \"" + value + "\"", {}};
  }
  penalty = number;
  return {};
}

/// What the options say before they are put together as jobs.
struct Question {
  std::vector<Task> tasks;
  std::vector<std::string> prompts;
  std::string text;
  std::vector<Box> regions;
};

void add_task_options(Arguments& arguments, Question& question) {
  arguments.group("What to ask");
  arguments.repeatable("-p,--task", "TASK", "default: caption; may be given several times",
                       [&](const std::string& value) {
                         auto task = parse_task_name(value);
                         if (!task) return Status(std::move(task).error());
                         question.tasks.push_back(*task);
                         return Status();
                       });
  arguments.value("--text", "TEXT", "the input of tasks that take text", text_into(question.text));
  arguments.repeatable("--region", "X0,Y0,X1,Y1", "the input of tasks that take a region, in pixels; may be repeated",
                       [&](const std::string& value) {
                         auto region = parse_region(value);
                         if (!region) return Status(std::move(region).error());
                         question.regions.push_back(*region);
                         return Status();
                       });
  arguments.repeatable("--prompt", "TEXT", "send TEXT as it is, for fine-tunes with prompts of their own",
                       [&](const std::string& value) {
                         question.prompts.push_back(value);
                         return Status();
                       });
}

std::vector<std::pair<std::string, Format>> format_choices() {
  std::vector<std::pair<std::string, Format>> choices;
  for (const FormatInfo& info : all_formats()) choices.emplace_back(info.name, info.format);
  return choices;
}

std::string format_names() {
  std::string names;
  for (const FormatInfo& info : all_formats()) names.append(names.empty() ? "" : ", ").append(info.name);
  return names;
}

void add_output_options(Arguments& arguments, RunSettings& settings) {
  arguments.group("Answers");
  arguments.value("-f,--format", "FORMAT", format_names() + " (default text)",
                  choice_into<Format>(settings.format, format_choices()));
  arguments.value("-o,--output", "FILE|DIR", "write there instead of to standard output, or beside the pictures",
                  text_into(settings.output));
  arguments.flag("--overwrite", settings.overwrite, "replace files that are already there beside the pictures");
  arguments.value("--draw", "FILE|DIR", "write the picture with the answer on it: .png, .jpg, .svg, or a folder",
                  [&](const std::string& value) {
                    settings.draw = value;
                    return check_draw_path(value);
                  });
  arguments.value("--masks", "DIR", "write a black and white picture for each thing, and a map of all of them",
                  text_into(settings.masks));
  arguments.value("--crops", "DIR", "write the part of the picture that each thing is in", text_into(settings.crops));
  add_quiet_option(arguments, settings.quiet);
  arguments.flag("-v,--verbose", settings.verbose, "say what is loaded and used");
  arguments.flag("--timings", settings.timings, "say how long each stage took");
}

void add_input_options(Arguments& arguments, InputNames& inputs) {
  arguments.positionals("IMAGE", "-i,--image", "the same as IMAGE", inputs.names);
  arguments.flag("-r,--recursive", inputs.recursive, "look into the folders of folders, too");
  arguments.value("--files-from", "LIST", "a file with a name a line; - for standard input", text_into(inputs.list));
}

void add_generation_options(Arguments& arguments, GenerationOptions& generation) {
  arguments.group("Generation (default: the checkpoint's own settings)");
  arguments.value("--beams", "N", "1…16; 1 is greedy and fastest", integer_into(generation.num_beams, 1, kMostBeams));
  arguments.value("--max-new-tokens", "N", "longest answer (default 1024)",
                  integer_into(generation.max_new_tokens, 1, kMostNewTokens));
  arguments.value("--no-repeat-ngram", "N", "no N tokens twice; 0: off",
                  integer_into(generation.no_repeat_ngram, 0, kMostNgram));
  arguments.value("--length-penalty", "X", "above 0 favours long answers",
                  [&](const std::string& value) { return parse_length_penalty(value, generation.length_penalty); });
  arguments.value("--early-stopping", "WHEN", "true, false or never",
                  choice_into<std::optional<EarlyStopping>>(
                      generation.early_stopping,
                      {{"true", EarlyStopping::yes}, {"false", EarlyStopping::no}, {"never", EarlyStopping::never}}));
}

void add_model_options(Arguments& arguments, RunSettings& settings) {
  arguments.group("Model");
  add_model_option(arguments, settings.model);
  add_threads_option(arguments, settings.threads);
  add_precision_option(arguments, settings.precision);
  arguments.value("--device", "NAME", "cpu, the only one", [](const std::string& value) {
    if (value == "cpu") return Status();
    return Status(Error{ErrorCode::unsupported, "no supported GPU (\"" + value + "\"); built for CPUs", {}});
  });
  arguments.flag("--check-weights", settings.check_weights, "refuse weights with NaN or infinity");
  add_compat_option(arguments, settings.compat);
}

/// A job for each task and region, in the order asked; prompts last.
std::vector<Job> make_jobs(const Question& question) {
  std::vector<Job> jobs;
  for (const Task task : question.tasks) {
    const TaskInput input = task_info(task).input;
    if (input == TaskInput::region && !question.regions.empty()) {
      for (const Box& region : question.regions) jobs.push_back({.task = task, .region = region});
    } else {
      jobs.push_back({.task = task, .text = input == TaskInput::none ? std::string() : question.text});
    }
  }
  for (const std::string& prompt : question.prompts) jobs.push_back({.prompt = prompt});
  if (jobs.empty()) jobs.push_back({.task = Task::caption});
  return jobs;
}

/// Inputs that nobody takes, and tasks that miss theirs.
Status check_jobs(const std::vector<Job>& jobs, const Question& question, Compat compat) {
  bool text_used = question.text.empty(), region_used = question.regions.empty();
  for (const Job& job : jobs) {
    text_used = text_used || !job.text.empty();
    region_used = region_used || job.region.has_value();
    if (job.task && !job.region) FL_TRY(build_prompt(*job.task, job.text, compat));
  }
  const std::string asked = jobs[0].task ? "task " + std::string(jobs[0].task_token()) : "--prompt";
  if (!text_used) return Error{ErrorCode::argument, asked + " takes no text", "--text"};
  if (!region_used) return Error{ErrorCode::argument, asked + " takes no region", "--region"};
  return {};
}

}  // namespace

Result<std::optional<RunSettings>> parse_run_settings(int argc, char** argv) {
  RunSettings settings;
  Question question;
  Arguments arguments(kHeading + task_list());
  add_task_options(arguments, question);
  arguments.group("Pictures");
  add_input_options(arguments, settings.inputs);
  add_picture_options(arguments, settings.picture);
  add_output_options(arguments, settings);
  add_model_options(arguments, settings);
  add_generation_options(arguments, settings.generation);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return std::optional<RunSettings>();
  FL_TRY(threads_from_environment(settings.threads));
  settings.jobs = make_jobs(question);
  FL_TRY(check_jobs(settings.jobs, question, settings.compat));
  if (settings.inputs.names.empty() && settings.inputs.list.empty()) {
    return Error{ErrorCode::argument, "no picture given; try `florence2 photo.jpg`, or --help", {}};
  }
  const FormatInfo& format = format_info(settings.format);
  if (format.place == FormatPlace::folder && settings.output.empty()) {
    return Error{ErrorCode::argument, std::string(format.name) + " writes several files: name a folder with -o DIR",
                 "--format"};
  }
  settings.picture.scale_grey16 = settings.compat == Compat::none;
  return std::optional<RunSettings>(std::move(settings));
}

}  // namespace florence2
