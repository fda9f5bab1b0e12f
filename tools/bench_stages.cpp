#include "tools/bench_stages.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/stopwatch.hpp"
#include "model/engine.hpp"
#include "model/generate.hpp"
#include "model/image.hpp"

namespace florence2 {
namespace {

constexpr int kPictureWidth = 1024, kPictureHeight = 683;
constexpr int kPromptTokens = 10;
constexpr int kFirstStep = 10, kLastStep = 60;  // of the decode stage
constexpr int kWarmUps = 2;

/// A smooth picture with some texture; its content does not matter for the time.
std::vector<std::uint8_t> synthetic_picture() {
  std::vector<std::uint8_t> rgb;
  rgb.reserve(std::size_t{3} * kPictureWidth * kPictureHeight);
  for (int y = 0; y < kPictureHeight; ++y) {
    for (int x = 0; x < kPictureWidth; ++x) {
      for (const int value : {x / 4, y / 3, (x * y) >> 8}) rgb.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return rgb;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Spread spread(const std::vector<double>& values) {
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  return {median(values), *min, *max};
}

class Bench {
 public:
  Bench(const ModelImpl& model, const BenchSettings& settings)
      : model_(model),
        settings_(settings),
        engine_(model, settings.threads),
        rgb_(synthetic_picture()),
        pixels_(std::int64_t{3} * side() * side()),
        prompt_(kPromptTokens) {
    std::iota(prompt_.begin(), prompt_.end(), 0);
  }

  Status round();
  void forget() { preprocess_.clear(), vision_.clear(), prefill_.clear(), decode_.clear(), caption_.clear(); }
  BenchTimes times() const {
    return {spread(preprocess_), spread(vision_), spread(prefill_), spread(decode_), spread(caption_)};
  }

 private:
  int side() const { return model_.config.image.side; }
  View<const float> pixels() const { return {pixels_.data(), std::int64_t{1} * side() * side(), 3}; }
  void prefill(View<const float> image, int steps);
  /// Generates exactly `tokens` tokens; `on_step` as in generate().
  Status decode(int tokens, const std::function<bool(int)>& on_step);

  const ModelImpl& model_;
  const BenchSettings& settings_;
  Engine engine_;
  std::vector<std::uint8_t> rgb_;
  Buffer<float> pixels_;
  std::vector<std::int32_t> prompt_;
  std::vector<double> preprocess_, vision_, prefill_, decode_, caption_;  // one a round
};

void Bench::prefill(View<const float> image, int steps) {
  const View<const float> memory = engine_.encode_prompt(image, prompt_);
  engine_.decoder().start(engine_.context(), model_.weights.decoder, memory, settings_.beams, steps);
}

Status Bench::decode(int tokens, const std::function<bool(int)>& on_step) {
  GenerationRules rules;
  rules.num_beams = settings_.beams;
  rules.max_new_tokens = tokens;
  rules.no_repeat_ngram = 0;
  rules.start = model_.config.text.decoder_start;
  rules.eos = rules.forced_eos = -1;  // random weights must not end early
  const auto step = [&](std::span<const std::int32_t> ids, std::span<const int> parents) {
    return engine_.decoder().step(engine_.context(), model_.weights.decoder, ids, parents);
  };
  const auto hypotheses = generate(engine_.context(), rules, step, on_step);
  return hypotheses ? Status() : Status(hypotheses.error());
}

Status Bench::round() {
  Stopwatch watch;
  preprocess(pixels_.data(), {rgb_.data(), kPictureWidth, kPictureHeight, 3 * kPictureWidth}, model_.config.image);
  preprocess_.push_back(watch.lap());
  const View<const float> image = engine_.encode_image(pixels());
  vision_.push_back(watch.lap());
  prefill(image, kLastStep);
  prefill_.push_back(watch.lap());

  std::vector<double> steps;
  const auto time_step = [&](int length) {
    const double elapsed = watch.lap();
    if (length >= kFirstStep) steps.push_back(elapsed);
    return true;
  };
  FL_TRY(decode(kLastStep, time_step));
  decode_.push_back(median(std::move(steps)));

  watch.lap();
  for (int i = 0; i < settings_.batch; ++i) {
    prefill(engine_.encode_image(pixels()), settings_.tokens);
    FL_TRY(decode(settings_.tokens, {}));
  }
  caption_.push_back(watch.lap() / settings_.batch);
  return {};
}

}  // namespace

Result<BenchTimes> measure_stages(const Model& model, const BenchSettings& settings,
                                  const std::function<void(int)>& on_round) {
  Bench bench(model.impl(), settings);
  const int warm_ups = std::min(kWarmUps, settings.rounds);
  for (int i = 0; i < warm_ups + settings.rounds; ++i) {
    if (i == warm_ups) bench.forget();
    on_round(i + 1);
    FL_TRY(bench.round());
  }
  return bench.times();
}

}  // namespace florence2
