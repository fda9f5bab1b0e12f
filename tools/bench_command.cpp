// `florence2 bench`: how long each stage takes on this machine, with or without a checkpoint.
#include <cmath>
#include <cstdio>
#include <optional>

#include "core/json.hpp"
#include "core/stopwatch.hpp"
#include "model/engine.hpp"
#include "tools/bench_stages.hpp"
#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/memory.hpp"
#include "tools/message.hpp"
#include "tools/output.hpp"
#include "tools/progress.hpp"

namespace florence2 {
namespace {

constexpr std::uint64_t kSeed = 1234;
constexpr const char* kHeading = R"(florence2 bench: times each stage on this machine

  florence2 bench                          random weights of the base model's shape
  florence2 bench --size large -t 1
  florence2 bench -m Florence-2-base --beams 1 --format json
)";

struct BenchOptions {
  std::string model;  ///< empty: seeded weights
  std::vector<AdapterOptions> adapters;
  std::string precision = "auto";
  std::string size = "base";
  bool size_given = false;
  bool json = false, quiet = false;
  std::optional<int> beams;
  BenchSettings settings;
};

struct BenchReport {
  ModelInfo model;
  BenchSettings settings;
  std::optional<double> load_ms;
  BenchTimes times;
};

void declare(Arguments& arguments, BenchOptions& options) {
  BenchSettings& settings = options.settings;
  arguments.value("-m,--model", "DIR", "a checkpoint instead of random weights", text_into(options.model));
  add_adapter_option(arguments, options.adapters);
  const Choices<std::string> sizes = {{"base", "base"}, {"large", "large"}};
  const auto choose_size = choice_into<std::string>(options.size, sizes);
  arguments.value("--size", "SIZE", "base or large (default base)", [&options, choose_size](const std::string& value) {
    options.size_given = true;
    return choose_size(value);
  });
  arguments.choices({"base", "large"});
  add_precision_option(arguments, options.precision);
  add_threads_option(arguments, settings.threads);
  arguments.value("--rounds", "N", "measured rounds (default 9)", integer_into(settings.rounds, 1, 1000));
  arguments.value("--beams", "N", "1…16 (default: the checkpoint's, 3)", integer_into(options.beams, 1, 16));
  arguments.value("--tokens", "N", "length of the caption (default 20)", integer_into(settings.tokens, 2, 1000));
  arguments.value("--batch", "N", "pictures a caption round (default 1)", integer_into(settings.batch, 1, 256));
  add_choice<bool>(arguments, {{}, "-f,--format", "FORMAT", "text or json (default text)", {}}, options.json,
                   {{"text", false}, {"json", true}});
  add_quiet_option(arguments, options.quiet);
}

Result<std::optional<BenchOptions>> parse_options(int argc, char** argv) {
  BenchOptions options;
  BenchSettings& settings = options.settings;
  settings.threads = 0;
  Arguments arguments("bench", kHeading);
  declare(arguments, options);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return std::optional<BenchOptions>();
  if (settings.threads == 0) settings.threads = default_threads();
  if (options.size_given && !options.model.empty()) {
    return Error{ErrorCode::argument, "goes with random weights, not with --model", "--size"};
  }
  if (!options.adapters.empty() && options.model.empty()) {
    return Error{ErrorCode::argument, "goes with --model, not with random weights", "--adapter"};
  }
  return std::optional<BenchOptions>(std::move(options));
}

Result<BenchReport> measure(BenchOptions options) {
  Progress progress(!options.quiet);
  progress.show("preparing weights");
  Stopwatch watch;
  const ModelOptions loading{
      .threads = options.settings.threads, .precision = options.precision, .adapters = options.adapters};
  const bool seeded = options.model.empty();
  FL_ASSIGN(const Model model,
            seeded ? seeded_model(options.size, kSeed, DType::f16, loading) : Model::load(options.model, loading));
  std::optional<double> load_ms;
  if (!seeded) load_ms = watch.lap();
  options.settings.beams = options.beams.value_or(model.impl().config.generation.num_beams);
  const auto show_round = [&](int round) { progress.show("round " + std::to_string(round)); };
  FL_ASSIGN(const BenchTimes times, measure_stages(model, options.settings, show_round));
  return BenchReport{model.info(), options.settings, load_ms, times};
}

/// To hundredths, as many digits as mean anything.
json::Value rounded(double value) { return std::round(value * 100) / 100; }

json::Value spread_json(const Spread& spread) {
  return json::Object{{"median", rounded(spread.median)}, {"min", rounded(spread.min)}, {"max", rounded(spread.max)}};
}

std::string caption_name(const BenchReport& report) { return "caption" + std::to_string(report.settings.tokens); }

std::string as_json(const BenchReport& report) {
  const json::Object object = {
      {"size", report.model.size_name},
      {"precision", report.model.precision},
      {"threads", report.settings.threads},
      {"isa", report.model.isa},
      {"rounds", report.settings.rounds},
      {"vision_ms", spread_json(report.times.vision)},
      {"preprocess_ms", spread_json(report.times.preprocess)},
      {"prefill_ms", spread_json(report.times.prefill)},
      {"decode_ms_per_token", spread_json(report.times.decode)},
      {caption_name(report) + "_ms", spread_json(report.times.caption)},
      {"peak_rss_mb", rounded(static_cast<double>(peak_resident_bytes()) / 1e6)},
      {"load_ms", report.load_ms ? rounded(*report.load_ms) : json::Value()},
      {"beams", report.settings.beams},
      {"batch", report.settings.batch},
  };
  return json::dump(object) + '\n';
}

std::string text_row(const std::string& name, const Spread& spread) {
  char line[128];
  std::snprintf(line, sizeof(line), "%-18s %10.2f %10.2f %10.2f\n", name.c_str(), spread.median, spread.min,
                spread.max);
  return line;
}

std::string as_text(const BenchReport& report) {
  char head[256];
  std::snprintf(head, sizeof(head), "%s, %s, %d threads, %s, %d beams, %d rounds\n%-18s %10s %10s %10s\n",
                report.model.size_name.c_str(), report.model.precision.c_str(), report.settings.threads,
                report.model.isa.c_str(), report.settings.beams, report.settings.rounds, "milliseconds", "median",
                "min", "max");
  char foot[128];
  std::snprintf(foot, sizeof(foot), "peak memory %.0f MB\n", static_cast<double>(peak_resident_bytes()) / 1e6);
  std::string text = head + text_row("preprocess", report.times.preprocess) + text_row("vision", report.times.vision) +
                     text_row("prefill", report.times.prefill) + text_row("decode, a token", report.times.decode) +
                     text_row(caption_name(report), report.times.caption) + foot;
  if (report.load_ms) text += "load " + std::to_string(std::lround(*report.load_ms)) + " ms\n";
  return text;
}

Result<int> bench(int argc, char** argv) {
  FL_ASSIGN(const std::optional<BenchOptions> options, parse_options(argc, argv));
  if (!options) return 0;
  FL_ASSIGN(const BenchReport report, measure(*options));
  FL_ASSIGN(Output output, Output::open({}));
  FL_TRY(output.write(options->json ? as_json(report) : as_text(report)));
  return 0;
}

}  // namespace

HelpPage bench_page() {
  BenchOptions options;
  Arguments arguments("bench", kHeading);
  declare(arguments, options);
  return arguments.page();
}

int bench_command(int argc, char** argv) { return conclude(bench(argc, argv)); }

}  // namespace florence2
