#include "model/florence2.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "kernels/isa.hpp"
#include "model/engine.hpp"
#include "model/guarded.hpp"
#include "model/image.hpp"
#include "model/parse.hpp"
#include "model/prompt.hpp"
#include "model/rules.hpp"

namespace florence2 {
namespace {

constexpr int kMaxThreads = 1024;

Error argument_error(std::string message) { return {ErrorCode::argument, std::move(message), ""}; }

Status check_threads(int threads) {
  if (threads >= 0 && threads <= kMaxThreads) return {};
  return argument_error("threads must be 0…" + std::to_string(kMaxThreads) + ", not " + std::to_string(threads));
}

/// Milliseconds since the last call.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::milli>(now - std::exchange(start_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// --- Loading ------------------------------------------------------------------------------------------

Status check_vocabulary(const Tokenizer& tokenizer, int rows, const std::string& directory) {
  if (tokenizer.size() <= rows) return {};
  const std::int32_t last = tokenizer.size() - 1;
  return Error{ErrorCode::model,
               "token \"" + std::string(tokenizer.piece(last)) + "\" has id " + std::to_string(last) +
                   ", the embedding has " + std::to_string(rows) + " rows",
               directory + "/tokenizer.json"};
}

Result<Model> load_model(const std::string& directory, const ModelOptions& options) {
  FL_TRY(check_threads(options.threads));
  auto impl = std::make_shared<ModelImpl>();
  FL_ASSIGN(impl->table, choose_table(options));
  FL_ASSIGN(impl->config, load_config(directory));
  FL_ASSIGN(impl->tokenizer, Tokenizer::load(directory));
  FL_ASSIGN(impl->precision, parse_precision(options.precision, *impl->table));
  ModelInfo loaded;
  FL_ASSIGN(impl->weights, load_weights(directory, impl->config, *impl->table, impl->precision, options, loaded));
  FL_TRY(check_vocabulary(*impl->tokenizer, impl->config.text.vocabulary, directory));
  ModelInfo info = info_of(impl->config, *impl->table);
  info.directory = directory;
  info.precision = impl->precision.text_form();
  info.layout = loaded.layout;
  info.storage = loaded.storage;
  info.parameters = loaded.parameters;
  info.weight_bytes = loaded.weight_bytes;
  info.tied_head = loaded.tied_head;
  info.warnings = std::move(loaded.warnings);
  impl->info = std::move(info);
  return Model(std::move(impl));
}

// --- Prompts and answers ------------------------------------------------------------------------------

/// What goes into the task's prompt: the text, or the location tokens of the region.
Result<std::string> task_input(const TaskForm& task, const RunOptions& options, int width, int height) {
  if (!options.region) return options.text;
  if (task.input != TaskInput::region) return argument_error("task " + std::string(task.token) + " takes no region");
  if (!options.text.empty()) {
    return argument_error("task " + std::string(task.token) + " takes a region or location tokens as text, not both");
  }
  return region_tokens(*options.region, width, height);
}

/// The ids as text, without the tokens that only frame it.
std::string plain_text(const Tokenizer& tokenizer, const TextConfig& config, std::vector<std::int32_t> ids) {
  std::erase_if(ids, [&](std::int32_t id) { return id == config.bos || id == config.pad || id == config.eos; });
  return tokenizer.decode(ids);
}

/// Where each token of `hypothesis` stands in `text`, its decoded form. Where invalid UTF-8 was replaced while
/// decoding, pieces and text differ in length, and the text of every prefix tells.
std::vector<TokenSpan> token_spans(const Tokenizer& tokenizer, const Hypothesis& hypothesis, std::string_view text) {
  const std::span<const std::int32_t> ids(hypothesis.ids);
  std::string pieces;
  for (const std::int32_t id : ids) pieces += tokenizer.piece(id);
  const bool same = pieces == text;
  std::vector<TokenSpan> spans(ids.size());
  std::size_t begin = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::size_t end = same ? begin + tokenizer.piece(ids[i]).size() : tokenizer.decode(ids.first(i + 1)).size();
    spans[i] = {std::min(begin, end), end, i == 0 ? 0.0f : hypothesis.log_probs[i - 1]};
    begin = end;
  }
  return spans;
}

}  // namespace

Status check_precision(std::string_view precision) {
  FL_TRY(parse_precision(precision, *available_tables().front()));
  return {};
}

Result<Model> Model::load(const std::string& directory, const ModelOptions& options) {
  return guarded([&] { return load_model(directory, options); });
}

const ModelInfo& Model::info() const { return impl_->info; }

// --- Runner -------------------------------------------------------------------------------------------

struct RunnerImpl {
  RunnerImpl(Model model_, int threads)
      : model(std::move(model_)), engine(model.impl(), threads), pixels(std::int64_t{3} * side() * side()) {}

  int side() const { return model.impl().config.image.side; }

  Result<std::vector<std::int32_t>> encode_prompt(std::string_view prompt) const;
  /// The text model on an encoded picture; fills everything of the result but the answer.
  Result<Hypothesis> answer(View<const float> image, const RunOptions& options, TaskResult& result);
  Result<TaskResult> ask(const AnswerRules& rules, std::optional<Task> task, std::string prompt,
                         const EncodedImage& image, const RunOptions& options);

  Model model;
  Engine engine;
  Buffer<float> pixels;  // [side * side, 3]
};

Result<std::vector<std::int32_t>> RunnerImpl::encode_prompt(std::string_view prompt) const {
  const ModelImpl& impl = model.impl();
  if (!impl.tokenizer) return argument_error("this model has no tokenizer");
  FL_ASSIGN(auto ids, impl.tokenizer->encode(prompt));
  const int limit = impl.config.text.max_positions - impl.config.image_tokens();
  if (static_cast<std::int64_t>(ids.size()) > limit) {
    return Error{ErrorCode::limit,
                 "prompt has " + std::to_string(ids.size()) + " tokens, limit " + std::to_string(limit), ""};
  }
  return ids;
}

Result<Hypothesis> RunnerImpl::answer(View<const float> image, const RunOptions& options, TaskResult& result) {
  const ModelImpl& impl = model.impl();
  FL_ASSIGN(const GenerationRules rules, rules_in_force(impl.config, options.generation));
  FL_ASSIGN(const auto ids, encode_prompt(result.prompt));
  const DecoderWeights& weights = impl.weights.decoder;
  Context& context = engine.context();
  DecoderState& decoder = engine.decoder();
  Stopwatch watch;
  decoder.start(context, weights, engine.encode_prompt(image, ids), rules.num_beams, rules.max_new_tokens);
  result.timings.prefill = watch.lap();
  const auto step = [&](std::span<const std::int32_t> tokens, std::span<const int> parents) {
    return decoder.step(context, weights, tokens, parents);
  };
  FL_ASSIGN(auto hypotheses, generate(context, rules, step, options.on_step));
  result.timings.generate = watch.lap();
  return std::move(hypotheses.front());
}

namespace {

Status check_picture(const ImageView& image) {
  if (image.rgb == nullptr) return argument_error("image has no pixels");
  if (image.width < 1 || image.height < 1) {
    return argument_error("image is " + std::to_string(image.width) + "x" + std::to_string(image.height) +
                          ", both sides must be at least 1");
  }
  if (image.row_bytes < std::ptrdiff_t{3} * image.width) {
    return argument_error("image rows have " + std::to_string(image.row_bytes) + " bytes, " +
                          std::to_string(image.width) + " pixels need " +
                          std::to_string(std::ptrdiff_t{3} * image.width));
  }
  return {};
}

/// The features as a matrix [image tokens, d_model] of this model.
Result<View<const float>> features_of(const EncodedImage& image, const Config& config) {
  const std::int64_t tokens = config.image_tokens();
  const std::int64_t d = config.text.d_model;
  if (static_cast<std::int64_t>(image.features().size()) != tokens * d) {
    return argument_error("the encoded image has " + std::to_string(image.features().size()) +
                          " features, this model needs " + std::to_string(tokens * d));
  }
  return View<const float>(image.features().data(), tokens, d);
}

}  // namespace

Result<TaskResult> RunnerImpl::ask(const AnswerRules& rules, std::optional<Task> task, std::string prompt,
                                   const EncodedImage& image, const RunOptions& options) {
  FL_ASSIGN(const auto features, features_of(image, model.impl().config));
  TaskResult result;
  result.prompt = std::move(prompt);
  FL_ASSIGN(Hypothesis best, answer(features, options, result));
  const Tokenizer& tokenizer = *model.impl().tokenizer;
  const std::string text = tokenizer.decode(best.ids);
  result.answer = parse_scored(rules, task, {text, image.width(), image.height(), options.compat},
                               token_spans(tokenizer, best, text));
  result.text = plain_text(tokenizer, model.impl().config.text, best.ids);
  result.score = best.score;
  result.finish_reason = best.complete ? FinishReason::stop : FinishReason::length;
  result.token_ids = std::move(best.ids);
  result.log_probs = std::move(best.log_probs);
  result.timings.preprocess = image.timings().preprocess;
  result.timings.vision = image.timings().vision;
  return result;
}

Runner::Runner(std::unique_ptr<RunnerImpl> impl) : impl_(std::move(impl)) {}
Runner::Runner(Runner&&) noexcept = default;
Runner& Runner::operator=(Runner&&) noexcept = default;
Runner::~Runner() = default;

Result<Runner> Runner::create(const Model& model, const RunnerOptions& options) {
  return guarded([&]() -> Result<Runner> {
    FL_TRY(check_threads(options.threads));
    const int threads = options.threads > 0 ? options.threads : default_threads();
    return Runner(std::make_unique<RunnerImpl>(model, threads));
  });
}

Result<EncodedImage> Runner::encode(const ImageView& image) {
  return guarded([&]() -> Result<EncodedImage> {
    FL_TRY(check_picture(image));
    const Config& config = impl_->model.impl().config;
    const std::int64_t side = impl_->side();
    EncodedImage encoded;
    encoded.width_ = image.width;
    encoded.height_ = image.height;
    Stopwatch watch;
    preprocess(impl_->pixels.data(), image, config.image);
    encoded.timings_.preprocess = watch.lap();
    const View<const float> tokens = impl_->engine.encode_image({impl_->pixels.data(), side * side, 3});
    encoded.features_.assign(tokens.data, tokens.data + tokens.rows * tokens.cols);
    encoded.tokens_ = static_cast<int>(tokens.rows);
    encoded.timings_.vision = watch.lap();
    return encoded;
  });
}

Result<TaskResult> Runner::run(const EncodedImage& image, Task task, const RunOptions& options) {
  return guarded([&]() -> Result<TaskResult> {
    if (static_cast<int>(task) >= kTaskCount) return argument_error("unknown task");
    FL_ASSIGN(const std::string input, task_input(form_of(task_info(task)), options, image.width(), image.height()));
    FL_ASSIGN(std::string prompt, build_prompt(task, input, options.compat));
    return impl_->ask(answer_rules(task), task, std::move(prompt), image, options);
  });
}

Result<TaskResult> Runner::run(const ImageView& image, Task task, const RunOptions& options) {
  FL_ASSIGN(const auto encoded, encode(image));
  return run(encoded, task, options);
}

Result<TaskResult> Runner::run(const EncodedImage& image, const CustomTask& task, const RunOptions& options) {
  return guarded([&]() -> Result<TaskResult> {
    FL_ASSIGN(const std::string input, task_input(form_of(task), options, image.width(), image.height()));
    FL_ASSIGN(std::string prompt, build_prompt(task, input));
    return impl_->ask({task.answer}, {}, std::move(prompt), image, options);
  });
}

Result<TaskResult> Runner::run_prompt(const EncodedImage& image, std::string_view prompt, const RunOptions& options) {
  return guarded([&]() -> Result<TaskResult> {
    return impl_->ask({options.prompt_answer}, {}, std::string(prompt), image, options);
  });
}

Result<std::vector<EncodedImage>> Runner::encode_batch(std::span<const ImageView> images) {
  return guarded([&]() -> Result<std::vector<EncodedImage>> {
    std::vector<EncodedImage> encoded;
    for (const ImageView& image : images) {
      FL_ASSIGN(EncodedImage one, encode(image));
      encoded.push_back(std::move(one));
    }
    return encoded;
  });
}

Result<std::vector<Result<TaskResult>>> Runner::run_batch(std::span<const Request> requests) {
  return guarded([&]() -> Result<std::vector<Result<TaskResult>>> {
    std::vector<Result<TaskResult>> results;
    for (const Request& request : requests) {
      if (request.image == nullptr) {
        results.emplace_back(argument_error("the request has no image"));
      } else if (request.prompt.empty()) {
        results.push_back(run(*request.image, request.task, request.options));
      } else {
        results.push_back(run_prompt(*request.image, request.prompt, request.options));
      }
    }
    return results;
  });
}

}  // namespace florence2
