// `florence2 convert`: a checkpoint in the precision it will be run in, smaller and quicker to load.
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "model/convert.hpp"
#include "tools/arguments.hpp"
#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/interrupt.hpp"
#include "tools/message.hpp"
#include "tools/model_folder.hpp"
#include "tools/progress.hpp"

namespace florence2 {
namespace {

constexpr const char* kHeading = R"(florence2 convert: write a checkpoint in the precision it will be run in

  florence2 convert -m Florence-2-base -o Florence-2-base-int8
  florence2 convert -m Florence-2-base -o out --precision vision=bf16,text=int8

The new folder is a model folder like any other (-m). 8-bit weights take a quarter of the space of f32 and are
read as they are.
)";

struct ConvertSettings {
  std::string model, output;
  ConvertOptions options;
  bool quiet = false;
};

void declare(Arguments& arguments, ConvertSettings& settings) {
  add_model_option(arguments, settings.model);
  arguments.value("-o,--output", "DIR", "the new model folder", text_into(settings.output));
  add_precision_option(arguments, settings.options.precision);
  add_threads_option(arguments, settings.options.threads);
  add_quiet_option(arguments, settings.quiet);
}

Result<std::optional<ConvertSettings>> parse_options(int argc, char** argv) {
  ConvertSettings settings;
  Arguments arguments("convert", kHeading);
  declare(arguments, settings);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return std::optional<ConvertSettings>();
  if (settings.output.empty()) return Error{ErrorCode::argument, "name the new model folder", "--output"};
  return std::optional<ConvertSettings>(std::move(settings));
}

Result<int> convert(int argc, char** argv) {
  FL_ASSIGN(std::optional<ConvertSettings> settings, parse_options(argc, argv));
  if (!settings) return 0;
  FL_ASSIGN(const std::string folder, find_model(settings->model, settings->quiet));
  Progress progress(!settings->quiet);
  settings->options.on_progress = [&](double done) {
    progress.show("converting: " + std::to_string(std::lround(100 * done)) + " %");
    return interrupt_signal() == 0;
  };
  FL_ASSIGN(const ConvertReport report, convert_model(folder, settings->output, settings->options));
  progress.clear();
  if (!settings->quiet) {
    print_note(settings->output + ": " + report.precision + ", " + std::to_string(report.bytes / 1'000'000) +
               " MB of weights");
  }
  return 0;
}

}  // namespace

HelpPage convert_page() {
  ConvertSettings settings;
  Arguments arguments("convert", kHeading);
  declare(arguments, settings);
  return arguments.page();
}

int convert_command(int argc, char** argv) { return conclude(convert(argc, argv)); }

}  // namespace florence2
