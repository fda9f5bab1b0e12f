#include "tools/contestant.hpp"

#include <utility>

#include "core/stopwatch.hpp"
#include "tools/memory.hpp"

namespace florence2 {

Contestant::Contestant(Model model, Runner runner, int threads)
    : model_(std::move(model)), runner_(std::move(runner)), engine_(std::make_unique<Engine>(model_.impl(), threads)) {}

Result<Contestant> Contestant::load(const ContestantSpec& spec, int threads) {
  FL_TRY(check_memory(spec.folder));
  Stopwatch watch;
  const ModelOptions options{.threads = threads, .precision = spec.precision};
  FL_ASSIGN(Model model, Model::load(spec.folder, options));
  FL_ASSIGN(Runner runner, Runner::create(model, {.threads = threads}));
  const double load_ms = watch.lap();
  Contestant contestant(std::move(model), std::move(runner), threads > 0 ? threads : default_threads());
  contestant.facts.name = contestant.info().precision;
  contestant.facts.model = contestant.info();
  contestant.facts.file_bytes = weight_file_bytes(spec.folder);
  contestant.facts.load_ms = load_ms;
  return contestant;
}

Result<std::vector<Result<TaskResult>>> Contestant::answer(const ImageView& picture, std::span<const Job> jobs,
                                                           const RunOptions& shared) {
  PictureSlot slot;
  slot.facts.width = picture.width;
  slot.facts.height = picture.height;
  slot.jobs = jobs;
  FL_ASSIGN(slot.image, runner_.encode(picture));
  facts.totals.add_picture(0, slot.image->timings());
  std::vector<Result<TaskResult>> results;
  for (std::size_t i = 0; i < jobs.size(); ++i) {  // one by one, so that times are those of an answer alone
    slot.jobs = jobs.subspan(i, 1);
    FL_TRY(ask_pictures(runner_, {&slot, 1}, shared));
    if (slot.results[0]) facts.totals.add_answer(*slot.results[0]);
    results.push_back(std::move(slot.results[0]));
  }
  image_ = std::move(slot.image);
  return results;
}

Status Contestant::follow(const std::string& prompt, std::int64_t steps) {
  const ModelImpl& impl = model_.impl();
  FL_ASSIGN(const std::vector<std::int32_t> ids, impl.tokenizer->encode(prompt));
  const View<const float> image(image_->features().data(), image_->tokens(), image_->dim());
  const View<const float> memory = engine_->encode_prompt(image, ids);
  engine_->decoder().start(engine_->context(), impl.weights.decoder, memory, 1, steps);
  return {};
}

std::span<const float> Contestant::step(std::int32_t token) {
  const int parent = 0;
  const View<const float> logits =
      engine_->decoder().step(engine_->context(), model_.impl().weights.decoder, {&token, 1}, {&parent, 1});
  return {logits.row(0), static_cast<std::size_t>(logits.cols)};
}

Result<std::vector<std::vector<LogitStep>>> compare_along(std::span<Contestant> contestants, const std::string& prompt,
                                                          std::span<const std::int32_t> tokens) {
  const std::span<const std::int32_t> inputs = tokens.first(tokens.empty() ? 0 : tokens.size() - 1);
  Contestant& reference = contestants[0];
  std::vector<Contestant*> followers;
  for (Contestant& contestant : contestants) {
    const bool same = contestant.info().vocabulary == reference.info().vocabulary &&
                      contestant.info().positions == reference.info().positions;
    followers.push_back(same ? &contestant : nullptr);
    if (same) FL_TRY(contestant.follow(prompt, static_cast<std::int64_t>(inputs.size())));
  }
  std::vector<std::vector<LogitStep>> steps(contestants.size());
  for (const std::int32_t token : inputs) {
    const std::span<const float> expected = reference.step(token);
    for (std::size_t i = 1; i < followers.size(); ++i) {
      if (followers[i] != nullptr) steps[i].push_back(compare_logits(expected, followers[i]->step(token)));
    }
  }
  return steps;
}

}  // namespace florence2
