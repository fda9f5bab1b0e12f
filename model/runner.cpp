// Runner: pictures through the vision tower, questions through the text model.
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "core/stopwatch.hpp"
#include "model/batch.hpp"
#include "model/engine.hpp"
#include "model/guarded.hpp"
#include "model/image.hpp"
#include "model/question.hpp"

namespace florence2 {
namespace {

using Questions = std::vector<Result<std::unique_ptr<Question>>>;

Error argument_error(std::string message) { return {ErrorCode::argument, std::move(message), ""}; }

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

Result<std::unique_ptr<Question>> prepared(const ModelImpl& model, Result<Inquiry> inquiry) {
  if (!inquiry) return inquiry.error();
  return Question::prepare(model, std::move(inquiry).value());
}

}  // namespace

struct RunnerImpl {
  RunnerImpl(Model model_, int threads)
      : model(std::move(model_)),
        engine(model.impl(), threads),
        decoder(engine, model.impl().weights.decoder),
        pixels(std::int64_t{3} * side() * side()) {}

  int side() const { return model.impl().config.image.side; }

  /// What `call` returns, or an error while another call is at work: of another thread, or one whose callback this is.
  template <typename Call>
  auto alone(const Call& call) -> decltype(call()) {
    if (busy.test_and_set(std::memory_order_acquire)) {
      return argument_error("the runner is in use: give each thread its own, and callbacks another");
    }
    const Release release{busy};
    return call();
  }

  /// One result a question, which keeps its error if it has one.
  std::vector<Result<TaskResult>> ask(const Questions& questions);
  Result<TaskResult> ask(Result<Inquiry> inquiry);

  Model model;
  Engine engine;
  BatchDecoder decoder;
  Buffer<float> pixels;  // [side * side, 3]

 private:
  struct Release {
    std::atomic_flag& flag;
    ~Release() { flag.clear(std::memory_order_release); }
  };
  std::atomic_flag busy;
};

std::vector<Result<TaskResult>> RunnerImpl::ask(const Questions& questions) {
  std::vector<DecodeJob> jobs;
  for (const auto& question : questions) {
    if (question) jobs.push_back((*question)->job());
  }
  auto decoded = decoder.run(jobs);
  auto next = decoded.begin();
  std::vector<Result<TaskResult>> results;
  for (const auto& question : questions) {
    if (!question) {
      results.emplace_back(question.error());
      continue;
    }
    Result<Decoded>& outcome = *next++;
    if (outcome) {
      results.emplace_back((*question)->result(std::move(outcome).value()));
    } else {
      results.emplace_back(outcome.error());
    }
  }
  return results;
}

Result<TaskResult> RunnerImpl::ask(Result<Inquiry> inquiry) {
  Questions questions;
  questions.push_back(prepared(model.impl(), std::move(inquiry)));
  return alone([&] { return std::move(ask(questions).front()); });
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
  const auto look = [&]() -> Result<EncodedImage> {
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
    encoded.vision_id_ = impl_->model.impl().weights.vision_id;
    encoded.timings_.vision = watch.lap();
    return encoded;
  };
  return guarded([&] { return impl_->alone(look); });
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

Result<TaskResult> Runner::run(const EncodedImage& image, Task task, const RunOptions& options) {
  return guarded([&] { return impl_->ask(inquire(image, task, options)); });
}

Result<TaskResult> Runner::run(const ImageView& image, Task task, const RunOptions& options) {
  FL_ASSIGN(const auto encoded, encode(image));
  return run(encoded, task, options);
}

Result<TaskResult> Runner::run(const EncodedImage& image, const CustomTask& task, const RunOptions& options) {
  return guarded([&] { return impl_->ask(inquire(image, task, options)); });
}

Result<TaskResult> Runner::run_prompt(const EncodedImage& image, std::string_view prompt, const RunOptions& options) {
  return guarded([&] {
    return impl_->ask(Inquiry{&image, &options, {options.prompt_answer}, {}, std::string(prompt)});
  });
}

Result<std::vector<Result<TaskResult>>> Runner::run_batch(std::span<const Request> requests) {
  return guarded([&]() -> Result<std::vector<Result<TaskResult>>> {
    Questions questions;
    for (const Request& request : requests) questions.push_back(prepared(impl_->model.impl(), inquire(request)));
    return impl_->alone([&]() -> Result<std::vector<Result<TaskResult>>> { return impl_->ask(questions); });
  });
}

}  // namespace florence2
