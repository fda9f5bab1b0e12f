#include "tools/compare_settings.hpp"

#include <algorithm>
#include <functional>

#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/job_options.hpp"
#include "tools/model_folder.hpp"

namespace florence2 {
namespace {

constexpr int kMostBeams = 16, kMostNewTokens = 1'000'000;

constexpr const char* kHeading = R"(florence2 compare: what a precision, or another checkpoint, changes on your pictures

  florence2 compare photo.jpg                           int8 against fp32
  florence2 compare --precisions fp32,bf16,int8 pictures
  florence2 compare --against-precision vision=bf16,text=int8 -p od,caption pictures
  florence2 compare -m Florence-2-base --against Florence-2-base-ft --html report.html pictures

The first contestant is the reference: its answers count as right. Says how many answers have the same tokens, how
far texts, boxes and outlines are apart, how much the logits change along the reference's tokens, and sizes, memory
and times. Peak memory is that of a process that only loads the model and answers about the first picture.
Default tasks: caption, od, dense_region_caption, ocr.
)";

/// What the options name before they are put together as contestants.
struct Sides {
  std::string against;                  ///< another checkpoint
  std::string precision = "fp32";       ///< of the reference
  std::vector<std::string> precisions;  ///< all of them, the reference's first
  std::vector<std::string> others;      ///< those of the others
  bool precision_given = false;
};

/// Accepts a precision and hands it on.
Arguments::Accept precision_for(std::function<void(const std::string&)> use) {
  return [use = std::move(use)](const std::string& value) -> Status {
    FL_TRY(check_precision(value));
    use(value);
    return {};
  };
}

void add_side_options(Arguments& arguments, RunSettings& run, Sides& sides) {
  arguments.group("Contestants");
  add_model_option(arguments, run.model);
  arguments.value("--against", "DIR", "another checkpoint to compare with the model", text_into(sides.against));
  arguments.value("--precisions", "A,B,C", "precisions of the whole model, the reference first (default fp32,int8)",
                  each_of(precision_for([&sides](const std::string& value) { sides.precisions.push_back(value); })));
  arguments.value("--precision", "P", "that of the reference; by part, too: vision=bf16,text=int8 (default fp32)",
                  precision_for([&sides](const std::string& value) {
                    sides.precision = value;
                    sides.precision_given = true;
                  }));
  arguments.repeatable("--against-precision", "P",
                       "that of the other (default int8, with --against the reference's); may be repeated",
                       precision_for([&sides](const std::string& value) { sides.others.push_back(value); }));
  add_threads_option(arguments, run.threads);
}

void add_question_options(Arguments& arguments, CompareSettings& settings, JobOptions& question) {
  RunSettings& run = settings.run;
  arguments.group("Pictures and questions");
  arguments.positionals("IMAGE", "-i,--image", "the same as IMAGE: a file or a folder", run.inputs.names);
  arguments.flag("-r,--recursive", run.inputs.recursive, "look into the folders of folders, too");
  arguments.repeatable("-p,--task", "TASK", "several with commas between, or several times",
                       each_of([&question](const std::string& value) {
                         question.tasks.push_back(value);
                         return Status();
                       }));
  arguments.value("--text", "TEXT", "the input of tasks that take text", utf8_only(text_into(question.text)));
  arguments.repeatable("--region", "X0,Y0,X1,Y1", "the input of tasks that take a region, in pixels; may be repeated",
                       [&question](const std::string& value) -> Status {
                         FL_ASSIGN(const Box region, parse_region(value));
                         question.regions.push_back(region);
                         return {};
                       });
  arguments.value("--beams", "N", "1…16 (default: the checkpoint's)",
                  integer_into(run.answer.generation.num_beams, 1, kMostBeams));
  arguments.value("--max-new-tokens", "N", "longest answer (default 1024)",
                  integer_into(run.answer.generation.max_new_tokens, 1, kMostNewTokens));
}

void declare(Arguments& arguments, CompareSettings& settings, JobOptions& question, Sides& sides) {
  add_side_options(arguments, settings.run, sides);
  add_question_options(arguments, settings, question);
  arguments.group("Report");
  add_choice<bool>(arguments, {{}, "-f,--format", "FORMAT", "text or json (default text)", {}}, settings.json,
                   {{"text", false}, {"json", true}});
  arguments.value("-o,--output", "FILE", "write there instead of to standard output", text_into(settings.run.output));
  arguments.value("--html", "FILE", "a page with all answers side by side", text_into(settings.html));
  add_quiet_option(arguments, settings.run.quiet);
}

Status check_pictures(const std::vector<std::string>& names) {
  if (names.empty()) {
    return Error{ErrorCode::argument, "no picture given; try `florence2 compare photo.jpg`, or --help", {}};
  }
  if (std::find(names.begin(), names.end(), "-") == names.end()) return {};
  return Error{ErrorCode::argument, "pictures must be files or folders, found \"-\"", {}};
}

/// Which precisions are compared, the reference's first.
Result<std::vector<std::string>> precisions_of(const Sides& sides) {
  if (!sides.precisions.empty()) {
    if (sides.precision_given || !sides.others.empty()) {
      return Error{ErrorCode::argument, "stands for --precision and --against-precision: leave those out",
                   "--precisions"};
    }
    if (sides.precisions.size() < 2 && sides.against.empty()) {
      return Error{ErrorCode::argument, "needs at least two, as fp32,int8", "--precisions"};
    }
    return sides.precisions;
  }
  std::vector<std::string> precisions = {sides.precision};
  precisions.insert(precisions.end(), sides.others.begin(), sides.others.end());
  if (sides.others.empty()) precisions.push_back(sides.against.empty() ? "int8" : sides.precision);
  return precisions;
}

Result<std::vector<ContestantSpec>> make_contestants(const Sides& sides, const RunSettings& run) {
  FL_ASSIGN(std::vector<std::string> precisions, precisions_of(sides));
  if (precisions.size() == 1) precisions.push_back(precisions[0]);
  FL_ASSIGN(const std::string reference, find_model(run.model, run.quiet));
  std::string other = reference;
  if (!sides.against.empty()) {
    FL_ASSIGN(other, find_model(sides.against, run.quiet));
  }
  std::vector<ContestantSpec> contestants;
  for (const std::string& precision : precisions) {
    contestants.push_back({contestants.empty() ? reference : other, precision});
  }
  return contestants;
}

}  // namespace

Result<std::optional<CompareSettings>> parse_compare_settings(int argc, char** argv) {
  CompareSettings settings;
  JobOptions question;
  Sides sides;
  Arguments arguments("compare", kHeading);
  declare(arguments, settings, question, sides);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return std::optional<CompareSettings>();
  settings.run.files_read = arguments.response_files();
  FL_TRY(check_pictures(settings.run.inputs.names));
  const bool nothing_asked = question.tasks.empty() && question.text.empty() && question.regions.empty();
  if (nothing_asked) question.tasks = {"caption", "od", "dense_region_caption", "ocr"};
  FL_ASSIGN(settings.run.jobs, make_jobs(question, settings.run));
  FL_ASSIGN(settings.contestants, make_contestants(sides, settings.run));
  return std::optional<CompareSettings>(std::move(settings));
}

HelpPage compare_page() {
  CompareSettings settings;
  JobOptions question;
  Sides sides;
  Arguments arguments("compare", kHeading);
  declare(arguments, settings, question, sides);
  return arguments.page();
}

}  // namespace florence2
