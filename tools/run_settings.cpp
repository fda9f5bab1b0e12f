#include "tools/run_settings.hpp"

#include "model/label_trie.hpp"
#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/formats.hpp"
#include "tools/job_options.hpp"
#include "tools/picture_outputs.hpp"
#include "tools/run_checks.hpp"
#include "tools/task_names.hpp"

namespace florence2 {
namespace {

constexpr int kMostBeams = 16, kMostNewTokens = 1'000'000, kMostNgram = 100, kMostLengthPenalty = 10;
constexpr int kMostBatch = 256, kMostTopK = 1'000'000, kMostPenalty = 100, kMostTemperature = 100;
constexpr float kLongestDeadline = 1e6f, kSmallestPositive = 1e-3f;

constexpr const char* kHeading = R"(florence2: asks Florence-2 about pictures, on the CPU

  florence2 photo.jpg                                   one sentence about the picture
  florence2 -p od photo.jpg                             objects with boxes and scores
  florence2 -p od --draw boxes.png photo.jpg            the same, drawn on the picture
  florence2 --text "a red car and a dog" photo.jpg      where these things are
  florence2 --classes car,dog,tree photo.jpg            objects of these classes only
  florence2 --ocr-lines page.png                        the text in a picture
  florence2 -p region_to_category --region 40,60,220,180 photo.jpg
  florence2 -p caption,od -f jsonl -o answers.jsonl pictures/*.jpg
  florence2 -p od -f coco -o dataset -r pictures        a data set from a folder of pictures
  florence2 --requests requests.jsonl -o answers.jsonl  questions of its own for each picture

Usage: florence2 [run] [options] IMAGE...    IMAGE: a file, a folder, or - for standard input
       florence2 bench       time each stage on this machine
       florence2 compare     what a precision or another checkpoint changes
       florence2 info        what a checkpoint holds and what this CPU offers
       florence2 convert     write a checkpoint in the precision it will be run in
       florence2 download    a checkpoint from Hugging Face's hub
       florence2 tokenize | parse | preprocess         the edges of the model, alone
       florence2 help        this text, of any command; the manual
       florence2 completion  completion for bash, zsh or fish
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

Arguments::Accept append_to(std::vector<std::string>& target) {
  return [&target](const std::string& value) -> Status {
    if (value.empty()) return Error{ErrorCode::argument, "must not be empty", {}};
    target.push_back(value);
    return {};
  };
}

Arguments::Accept class_into(std::vector<std::string>& target) {
  return [&target](const std::string& label) -> Status {
    FL_TRY(check_label(label));
    target.push_back(label);
    return {};
  };
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const TaskInfo& info : all_tasks()) names.push_back(short_name(info));
  return names;
}

void add_task_options(Arguments& arguments, JobOptions& question, RunOptions& answer) {
  arguments.group("What to ask");
  arguments.repeatable("-p,--task", "TASK", "default: caption; several with commas between, or several times",
                       each_of(append_to(question.tasks)));
  arguments.choices(task_names());
  arguments.value("--text", "TEXT", "the input of tasks that take text; alone: where these things are",
                  utf8_only(text_into(question.text)));
  arguments.repeatable("--region", "X0,Y0,X1,Y1", "the input of tasks that take a region, in pixels; may be repeated",
                       [&](const std::string& value) {
                         auto region = parse_region(value);
                         if (!region) return Status(std::move(region).error());
                         question.regions.push_back(*region);
                         return Status();
                       });
  arguments.repeatable("--classes", "A,B,C", "labels that answers may use; alone: objects of these classes",
                       utf8_only(each_of(class_into(answer.classes))));
  arguments.value("--tasks", "FILE.json", "tasks of your own, for fine-tunes, to be named with -p",
                  text_into(question.task_file));
  arguments.repeatable("--prompt", "TEXT", "send TEXT as it is, for fine-tunes with prompts of their own",
                       utf8_only(append_to(question.prompts)));
  add_choice<AnswerKind>(
      arguments, {{}, "--answer", "KIND", "how to read the answer to --prompt: text, boxes, quads, polygons", {}},
      answer.prompt_answer,
      {{"text", AnswerKind::text},
       {"boxes", AnswerKind::boxes},
       {"quads", AnswerKind::quads},
       {"polygons", AnswerKind::polygons}});
}

void add_input_options(Arguments& arguments, RunSettings& settings) {
  arguments.group("Pictures");
  arguments.positionals("IMAGE", "-i,--image", "the same as IMAGE", settings.inputs.names);
  arguments.flag("-r,--recursive", settings.inputs.recursive, "look into the folders of folders, too");
  arguments.value("--files-from", "LIST", "a file with a name a line; - for standard input",
                  text_into(settings.inputs.list));
  arguments.value("--requests", "FILE", "pictures and questions, an object a line: image, task, text or region",
                  text_into(settings.requests));
  add_picture_options(arguments, settings.picture);
}

Choices<std::optional<Format>> format_choices() {
  Choices<std::optional<Format>> choices;
  for (const FormatInfo& info : all_formats()) choices.emplace_back(info.name, info.format);
  return choices;
}

std::string format_names() {
  std::string names;
  for (const FormatInfo& info : all_formats()) names.append(names.empty() ? "" : ", ").append(info.name);
  return names;
}

void add_output_options(Arguments& arguments, RunSettings& settings, std::optional<Format>& format) {
  arguments.group("Answers");
  add_choice<std::optional<Format>>(
      arguments, {{}, "-f,--format", "FORMAT", format_names() + " (default text; jsonl for --requests)", {}}, format,
      format_choices());
  arguments.value("-o,--output", "PATH", "a file, or a folder for formats that write several files",
                  text_into(settings.output));
  arguments.flag("--overwrite", settings.overwrite, "replace files that are already there beside the pictures");
  arguments.value("--min-score", "X", "leave out things with a lower score, 0…1", real_into(settings.min_score, 0, 1));
  arguments.flag("--ocr-lines", settings.ocr_lines, "text in reading order, a line each");
  arguments.flag("--stream", settings.stream, "text as it appears");
  arguments.value("--draw", "PATH", "write the picture with the answer on it: .png, .jpg, .svg, or a folder",
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

void add_generation_options(Arguments& arguments, GenerationOptions& generation) {
  arguments.group("Generation (default: the checkpoint's own settings)");
  arguments.value("--beams", "N", "1…16; 1 is greedy and fastest", integer_into(generation.num_beams, 1, kMostBeams));
  arguments.value("--max-new-tokens", "N", "longest answer (default 1024)",
                  integer_into(generation.max_new_tokens, 1, kMostNewTokens));
  arguments.value("--min-new-tokens", "N", "shortest answer",
                  integer_into(generation.min_new_tokens, 0, kMostNewTokens));
  arguments.value("--no-repeat-ngram", "N", "no N tokens twice; 0: off",
                  integer_into(generation.no_repeat_ngram, 0, kMostNgram));
  arguments.value("--repetition-penalty", "X", "above 1 makes tokens that came already less likely",
                  real_into(generation.repetition_penalty, kSmallestPositive, kMostPenalty));
  arguments.value("--length-penalty", "X", "above 0 favours long answers",
                  real_into(generation.length_penalty, -kMostLengthPenalty, kMostLengthPenalty));
  add_choice<std::optional<EarlyStopping>>(
      arguments, {{}, "--early-stopping", "WHEN", "true, false or never", {}}, generation.early_stopping,
      {{"true", EarlyStopping::yes}, {"false", EarlyStopping::no}, {"never", EarlyStopping::never}});
  arguments.flag("--well-formed", generation.well_formed, "only complete, ordered boxes and outlines");
}

/// An option of sampling, which it turns on.
Arguments::Accept sampling(GenerationOptions& generation, Arguments::Accept accept) {
  return [&generation, accept = std::move(accept)](const std::string& value) {
    generation.sample = true;
    return accept(value);
  };
}

void add_sampling_options(Arguments& arguments, GenerationOptions& generation) {
  arguments.group("Sampling (off; any of these turns it on, with one beam)");
  arguments.flag("--sample", generation.sample, "draw each token by its probability");
  arguments.value("--temperature", "X", "below 1: safer, above 1: wilder (default 1)",
                  sampling(generation, real_into(generation.temperature, kSmallestPositive, kMostTemperature)));
  arguments.value("--top-k", "N", "only the N most likely tokens (default 50; 0: off)",
                  sampling(generation, integer_into(generation.top_k, 0, kMostTopK)));
  arguments.value("--top-p", "X", "only tokens that make up this much probability (default 1: off)",
                  sampling(generation, real_into(generation.top_p, kSmallestPositive, 1)));
  arguments.value("-s,--seed", "N", "the same seed draws the same answer (default 0)",
                  sampling(generation, integer_into(generation.seed, 0, INT64_MAX)));
}

void add_model_options(Arguments& arguments, RunSettings& settings) {
  arguments.group("Model");
  add_model_option(arguments, settings.model);
  add_adapter_option(arguments, settings.adapters);
  add_threads_option(arguments, settings.threads);
  add_precision_option(arguments, settings.precision);
  arguments.value("--batch", "N", "pictures that are answered together (default 1)",
                  integer_into(settings.batch, 1, kMostBatch));
  arguments.value("--deadline", "SECONDS", "give up on an answer after that long",
                  [&settings](const std::string& value) -> Status {
                    FL_ASSIGN(const float seconds, parse_real(value, kSmallestPositive, kLongestDeadline));
                    settings.answer.deadline_ms = 1000.0 * static_cast<double>(seconds);
                    return {};
                  });
  arguments.value("--device", "NAME", "cpu, the only one", [](const std::string& value) {
    if (value == "cpu") return Status();
    return Status(Error{ErrorCode::unsupported, "no supported GPU (\"" + value + "\"); built for CPUs", {}});
  });
  arguments.flag("--check-weights", settings.check_weights, "refuse weights with NaN or infinity");
  add_compat_option(arguments, settings.answer.compat);
}

void declare(Arguments& arguments, RunSettings& settings, JobOptions& question, std::optional<Format>& format) {
  add_task_options(arguments, question, settings.answer);
  add_input_options(arguments, settings);
  add_output_options(arguments, settings, format);
  add_model_options(arguments, settings);
  add_generation_options(arguments, settings.answer.generation);
  add_sampling_options(arguments, settings.answer.generation);
}

/// What was asked, once all options are known.
Status complete(RunSettings& settings, const JobOptions& question, std::optional<Format> format) {
  FL_TRY(check_sources(settings, question));
  FL_ASSIGN(settings.jobs, make_jobs(question, settings));
  settings.format = format.value_or(settings.requests.empty() ? Format::text : Format::jsonl);
  settings.picture.scale_grey16 = settings.answer.compat == Compat::none;
  return check_combinations(settings, question);
}

}  // namespace

Result<std::optional<RunSettings>> parse_run_settings(int argc, char** argv) {
  RunSettings settings;
  JobOptions question;
  std::optional<Format> format;
  Arguments arguments("run", kHeading + task_list());
  declare(arguments, settings, question, format);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return std::optional<RunSettings>();
  settings.files_read = arguments.response_files();
  if (!question.task_file.empty()) settings.files_read.push_back(question.task_file);
  const Status completed = complete(settings, question, format);
  if (!completed) return arguments.as_given(completed.error());
  return std::optional<RunSettings>(std::move(settings));
}

HelpPage run_page() {
  RunSettings settings;
  JobOptions question;
  std::optional<Format> format;
  Arguments arguments("run", kHeading + task_list());
  declare(arguments, settings, question, format);
  return arguments.page();
}

}  // namespace florence2
