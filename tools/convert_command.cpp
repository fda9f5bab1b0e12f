// `florence2 convert`: a checkpoint in the precision it will be run in, smaller and quicker to load.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/atomic_file.hpp"
#include "model/calibrate.hpp"
#include "model/convert.hpp"
#include "tools/arguments.hpp"
#include "tools/calibration_report.hpp"
#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/inputs.hpp"
#include "tools/interrupt.hpp"
#include "tools/message.hpp"
#include "tools/model_folder.hpp"
#include "tools/progress.hpp"

namespace florence2 {
namespace {

constexpr const char* kHeading = R"(florence2 convert: write a checkpoint in the precision it will be run in

  florence2 convert -m Florence-2-base -o Florence-2-base-int8
  florence2 convert -m Florence-2-base -o out --precision vision=bf16,text=int8
  florence2 convert -m Florence-2-base -o out --calibrate pictures

The new folder is a model folder like any other (-m). 8-bit weights take a quarter of the space of f32 and are
read as they are. With pictures, matrices that do not bear 8 bits are found and kept as they are stored; what was
measured is printed and written to calibration.json.
)";

constexpr std::size_t kMostPictures = 8;  // more say little that is new, and each is looked at dozens of times
constexpr float kLargestBudget = 1000;

struct ConvertSettings {
  std::string model, output;
  ConvertOptions options;
  InputNames pictures;
  std::optional<double> budget;
  bool overwrite = false, quiet = false;
};

void declare(Arguments& arguments, ConvertSettings& settings) {
  add_model_option(arguments, settings.model);
  arguments.value("-o,--output", "DIR", "the new model folder", text_into(settings.output));
  arguments.flag("--overwrite", settings.overwrite, "replace the model that is in the folder already");
  add_precision_option(arguments, settings.options.precision);
  arguments.positionals("IMAGE", "--calibrate",
                        "files or folders: keep what does not bear 8 bits on these pictures (eight are used at most)",
                        settings.pictures.names);
  arguments.flag("-r,--recursive", settings.pictures.recursive, "look into the folders of folders, too");
  arguments.value("--budget", "NATS", "divergence that calibration allows in the next token (default 0.001)",
                  real_into(settings.budget, 0, kLargestBudget));
  arguments.repeatable("--keep", "PATTERN", "matrices to keep as stored in any case, as 'decoder.*.fc2'",
                       [&settings](const std::string& value) {
                         settings.options.keep.push_back(value);
                         return Status();
                       });
  add_threads_option(arguments, settings.options.threads);
  add_quiet_option(arguments, settings.quiet);
}

/// The names of weights and of what describes them.
bool is_of_weights(const std::string& name) {
  constexpr std::string_view kNames[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                         "pytorch_model.bin.index.json", "calibration.json"};
  const bool shard = (name.starts_with("model-") && name.ends_with(".safetensors")) ||
                     (name.starts_with("pytorch_model-") && name.ends_with(".bin"));
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         (shard && name.find("-of-") != std::string::npos);
}

std::vector<std::filesystem::path> weights_in(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code failure;
  for (auto entry = std::filesystem::directory_iterator(folder, failure);
       !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
    if (is_of_weights(entry->path().filename().string())) files.push_back(entry->path());
  }
  return files;
}

Status check_unused(const std::string& folder) {
  if (weights_in(folder).empty()) return {};
  return Error{ErrorCode::cannot_create, "holds a model already; --overwrite replaces it", folder};
}

/// What belonged to the model that was here before.
Status remove_old_weights(const std::string& folder) {
  for (const std::filesystem::path& file : weights_in(folder)) {
    if (file.filename() == "model.safetensors") continue;  // the new ones
    std::error_code failure;
    std::filesystem::remove(file, failure);
    if (failure) return Error{ErrorCode::io, "cannot remove the file: " + failure.message(), file.string()};
  }
  return {};
}

Result<std::optional<ConvertSettings>> parse_options(int argc, char** argv) {
  ConvertSettings settings;
  Arguments arguments("convert", kHeading);
  declare(arguments, settings);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return std::optional<ConvertSettings>();
  if (settings.output.empty()) return Error{ErrorCode::argument, "name the new model folder", "--output"};
  if (settings.budget && settings.pictures.names.empty()) {
    return Error{ErrorCode::argument, "goes with --calibrate", "--budget"};
  }
  if (!settings.overwrite) FL_TRY(check_unused(settings.output));
  return std::optional<ConvertSettings>(std::move(settings));
}

/// At most kMostPictures of what the names stand for, spread evenly.
Result<std::vector<Picture>> open_pictures(const InputNames& names) {
  FL_ASSIGN(const std::vector<Input> inputs, expand_inputs(names));
  const std::size_t count = std::min(inputs.size(), kMostPictures);
  std::vector<Picture> pictures;
  for (std::size_t i = 0; i < count; ++i) {
    const Input& input = inputs[i * inputs.size() / count];
    auto picture = open_input(input, {});
    if (!picture) {
      Error error = std::move(picture).error();
      if (error.where.empty()) error.where = input.path;
      return error;
    }
    pictures.push_back(std::move(picture).value());
  }
  return pictures;
}

Result<Calibration> calibrate(const std::string& folder, const ConvertSettings& settings, Progress& progress) {
  FL_ASSIGN(const std::vector<Picture> pictures, open_pictures(settings.pictures));
  std::vector<ImageView> views;
  for (const Picture& picture : pictures) views.push_back(picture.view());
  CalibrationOptions options{settings.options.precision, settings.options.keep,
                             settings.budget.value_or(CalibrationOptions().budget), settings.options.threads};
  options.on_progress = [&](const std::string& what) {
    progress.show("measuring: " + what);
    return interrupt_signal() == 0;
  };
  return calibrate_model(folder, views, options);
}

Status write_calibration(const ConvertSettings& settings, const Calibration& calibration, const ConvertReport& report) {
  const std::string text = json::dump(calibration_json(calibration, report)) + '\n';
  const std::span<const std::byte> part = std::as_bytes(std::span(text));
  FL_TRY(write_file_atomically((std::filesystem::path(settings.output) / "calibration.json").string(), {&part, 1}));
  if (!settings.quiet) std::fputs(calibration_text(calibration, report).c_str(), stdout);
  if (calibration.final > calibration.budget) {
    print_note("the divergence stays above the budget with everything kept");
  }
  return {};
}

Result<int> convert(int argc, char** argv) {
  FL_ASSIGN(std::optional<ConvertSettings> settings, parse_options(argc, argv));
  if (!settings) return 0;
  FL_ASSIGN(const std::string folder, find_model(settings->model, settings->quiet));
  Progress progress(!settings->quiet);
  std::optional<Calibration> calibration;
  if (!settings->pictures.names.empty()) {
    FL_ASSIGN(calibration, calibrate(folder, *settings, progress));
    settings->options.keep = calibration->keep;
  }
  settings->options.on_progress = [&](double done) {
    progress.show("converting: " + std::to_string(std::lround(100 * done)) + " %");
    return interrupt_signal() == 0;
  };
  FL_ASSIGN(const ConvertReport report, convert_model(folder, settings->output, settings->options));
  progress.clear();
  FL_TRY(remove_old_weights(settings->output));
  if (calibration) FL_TRY(write_calibration(*settings, *calibration, report));
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
