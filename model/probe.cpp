#include "model/probe.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/calibrate.hpp"
#include "model/generate.hpp"
#include "model/image.hpp"

namespace florence2 {
namespace {

// An answer in words and one in places: they stress different rows of the LM head. Most of what a long answer could
// tell stands in its first tokens.
constexpr Task kTasks[] = {Task::detailed_caption, Task::object_detection};
constexpr int kMostTokens = 32;

View<const float> step(Engine& engine, const ModelImpl& model, std::int32_t token) {
  const int parent = 0;
  return engine.decoder().step(engine.context(), model.weights.decoder, {&token, 1}, {&parent, 1});
}

void start_decoder(Engine& engine, const ModelImpl& model, View<const float> memory, std::size_t steps) {
  engine.decoder().start(engine.context(), model.weights.decoder, memory, 1, static_cast<std::int64_t>(steps));
}

View<const float> view_of(const EncodedImage& image) { return {image.features().data(), image.tokens(), image.dim()}; }

}  // namespace

double divergence(std::span<const float> reference, std::span<const float> logits) {
  const auto log_sum = [](std::span<const float> row) {
    const double most = double{*std::max_element(row.begin(), row.end())};
    double sum = 0;
    for (const float x : row) sum += std::exp(double{x} - most);
    return most + std::log(sum);
  };
  const double reference_sum = log_sum(reference), sum = log_sum(logits);
  double total = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double log_p = double{reference[i]} - reference_sum;
    total += std::exp(log_p) * (log_p - (double{logits[i]} - sum));
  }
  return std::isfinite(total) ? std::max(total, 0.0) : HUGE_VAL;
}

Result<Probe> Probe::create(const std::string& directory, std::span<const ImageView> pictures, const KernelTable& table,
                            int threads, const Progress& progress) {
  FL_ASSIGN(const Model model,
            Model::load(directory, {.isa = std::string(table.name), .threads = threads, .precision = "fp32"}));
  Probe probe(directory, table, threads > 0 ? threads : default_threads());
  FL_TRY(probe.answer(model, pictures, progress));
  return probe;
}

Status Probe::answer(const Model& model, std::span<const ImageView> pictures, const Progress& progress) {
  FL_ASSIGN(Runner runner, Runner::create(model, {.threads = threads_}));
  Engine engine(model.impl(), threads_);
  const ImageConfig& config = model.impl().config.image;
  RunOptions options;
  options.generation = {.num_beams = 1, .max_new_tokens = kMostTokens};
  for (const ImageView& picture : pictures) {
    if (!progress()) return cancelled();
    FL_ASSIGN(EncodedImage image, runner.encode(picture));
    d_ = image.dim();
    for (const Task task : kTasks) {
      FL_ASSIGN(const TaskResult result, runner.run(image, task, options));
      Trial trial{images_.size(), {}, {result.token_ids.begin(), result.token_ids.end() - 1}, {}, {}};
      FL_ASSIGN(trial.prompt, model.impl().tokenizer->encode(result.prompt));
      tokens_ += static_cast<int>(trial.inputs.size());
      const View<const float> memory = engine.encode_prompt(view_of(image), trial.prompt);
      trial.memory = Buffer<float>(memory.rows * d_);
      std::copy_n(memory.data, memory.rows * d_, trial.memory.data());
      FL_TRY(record(engine, model.impl(), trial));
      trials_.push_back(std::move(trial));
    }
    pixels_.emplace_back(std::int64_t{3} * config.side * config.side);
    preprocess(pixels_.back().data(), picture, config);
    images_.push_back(std::move(image));
  }
  return {};
}

Status Probe::record(Engine& engine, const ModelImpl& model, Trial& trial) const {
  start_decoder(engine, model, {trial.memory.data(), trial.memory.size() / d_, d_}, trial.inputs.size());
  for (const std::int32_t token : trial.inputs) {
    const View<const float> logits = step(engine, model, token);
    trial.logits.insert(trial.logits.end(), logits.data, logits.data + logits.cols);
  }
  const bool finite = std::all_of(trial.logits.begin(), trial.logits.end(), [](float x) { return std::isfinite(x); });
  if (finite) return {};
  return Error{ErrorCode::model, "its logits are not finite in full precision, so nothing can be measured", directory_};
}

double Probe::divergence_sum(Engine& engine, const ModelImpl& model, const Trial& trial,
                             View<const float> memory) const {
  start_decoder(engine, model, memory, trial.inputs.size());
  std::span<const float> expected(trial.logits);
  double sum = 0;
  for (const std::int32_t token : trial.inputs) {
    const View<const float> logits = step(engine, model, token);
    const auto count = static_cast<std::size_t>(logits.cols);
    sum += divergence(expected.first(count), {logits.data, count});
    expected = expected.subspan(count);
  }
  return sum;
}

Result<std::vector<double>> Probe::measure(const PrecisionPlan& plan, ProbeStart start,
                                           std::span<const std::size_t> pictures, const Progress& progress) const {
  ModelImpl model;
  model.table = table_;
  FL_ASSIGN(model.config, load_config(directory_));
  ModelInfo ignored;
  FL_ASSIGN(model.weights, load_weights(directory_, model.config, *table_, plan, {.threads = threads_}, ignored));
  Engine engine(model, threads_);
  const std::int64_t side = model.config.image.side;
  std::vector<double> means;
  for (const std::size_t picture : pictures) {
    if (!progress()) return cancelled();
    View<const float> image = view_of(images_[picture]);
    if (start == ProbeStart::vision) image = engine.encode_image({pixels_[picture].data(), side * side, 3});
    double sum = 0;
    std::size_t tokens = 0;
    for (const Trial& trial : trials_) {
      if (trial.picture != picture) continue;
      View<const float> memory(trial.memory.data(), trial.memory.size() / d_, d_);
      if (start != ProbeStart::decoder) memory = engine.encode_prompt(image, trial.prompt);
      sum += divergence_sum(engine, model, trial, memory);
      tokens += trial.inputs.size();
    }
    means.push_back(sum / static_cast<double>(tokens));
  }
  return means;
}

}  // namespace florence2
