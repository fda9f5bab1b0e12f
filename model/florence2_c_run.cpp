// The C API: encoding pictures and asking about them.
#include <limits>
#include <utility>

#include "model/florence2_c.hpp"

namespace florence2::c_api {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

static_assert(FL2_EARLY_STOPPING_YES == static_cast<int>(EarlyStopping::yes));
static_assert(FL2_EARLY_STOPPING_NO == static_cast<int>(EarlyStopping::no));
static_assert(FL2_EARLY_STOPPING_NEVER == static_cast<int>(EarlyStopping::never));

fl2_run_options run_defaults() {
  const GenerationOptions defaults;
  fl2_run_options options{};
  options.size = sizeof options;
  options.num_beams = options.max_new_tokens = options.min_new_tokens = options.no_repeat_ngram = FL2_UNSET;
  options.length_penalty = options.repetition_penalty = kNan;
  options.early_stopping = FL2_EARLY_STOPPING_UNSET;
  options.temperature = defaults.temperature;
  options.top_k = defaults.top_k;
  options.top_p = defaults.top_p;
  return options;
}

std::optional<int> if_set(int value) { return value == FL2_UNSET ? std::nullopt : std::optional(value); }
std::optional<float> if_set(float value) { return value != value ? std::nullopt : std::optional(value); }

Result<GenerationOptions> generation_options(const fl2_run_options& given) {
  GenerationOptions out;
  out.num_beams = if_set(given.num_beams);
  out.max_new_tokens = if_set(given.max_new_tokens);
  out.min_new_tokens = if_set(given.min_new_tokens);
  out.no_repeat_ngram = if_set(given.no_repeat_ngram);
  out.length_penalty = if_set(given.length_penalty);
  out.repetition_penalty = if_set(given.repetition_penalty);
  if (given.early_stopping != FL2_EARLY_STOPPING_UNSET) {
    FL_ASSIGN(out.early_stopping, enumerator<EarlyStopping>(given.early_stopping, 3, "early_stopping"));
  }
  out.well_formed = given.well_formed != 0;
  out.sample = given.sample != 0;
  out.temperature = given.temperature;
  out.top_k = given.top_k;
  out.top_p = given.top_p;
  out.seed = given.seed;
  return out;
}

Result<std::vector<std::string>> class_list(const fl2_run_options& given) {
  FL_TRY(require_count(given.class_count, "class_count"));
  std::vector<std::string> classes;
  for (int i = 0; i < given.class_count; ++i) {
    FL_TRY(require(given.classes, "classes"));
    FL_TRY(require(given.classes[i], "a class"));
    classes.emplace_back(given.classes[i]);
  }
  return classes;
}

Result<RunOptions> run_options(const fl2_run_options* options) {
  FL_ASSIGN(const auto given, read_struct(options, run_defaults(), "run options"));
  RunOptions out;
  out.text = text_or_empty(given.text);
  if (given.region != nullptr) out.region = Box{given.region[0], given.region[1], given.region[2], given.region[3]};
  FL_ASSIGN(out.generation, generation_options(given));
  FL_ASSIGN(out.compat, enumerator<Compat>(given.compat, 3, "compat"));
  FL_ASSIGN(out.prompt_answer, enumerator<AnswerKind>(given.prompt_answer, 5, "prompt_answer"));
  FL_ASSIGN(out.classes, class_list(given));
  out.deadline_ms = given.deadline_ms;
  if (given.on_step != nullptr) {
    out.on_step = [on_step = given.on_step, user = given.user](int tokens) { return on_step(tokens, user) != 0; };
  }
  if (given.on_text != nullptr) {
    out.on_text = [on_text = given.on_text, user = given.user](std::string_view text) {
      return on_text(std::string(text).c_str(), user) != 0;
    };
  }
  return out;
}

Result<ImageView> image_view(const fl2_pixels* pixels) {
  FL_TRY(require(pixels, "pixels"));
  FL_ASSIGN(const auto given, read_struct(pixels, fl2_pixels{}, "pixels"));
  return ImageView{given.rgb, given.width, given.height, given.row_bytes};
}

Result<CustomTask> custom_task(const fl2_task_info* task) {
  FL_TRY(require(task, "task"));
  FL_ASSIGN(const auto given, read_struct(task, fl2_task_info{}, "task"));
  CustomTask out;
  out.name = text_or_empty(given.name);
  out.token = text_or_empty(given.token);
  out.prompt = text_or_empty(given.prompt);
  out.description = text_or_empty(given.description);
  FL_ASSIGN(out.answer, enumerator<AnswerKind>(given.answer, 5, "task's answer"));
  FL_ASSIGN(out.input, enumerator<TaskInput>(given.input, 3, "task's input"));
  return out;
}

Result<Request> batch_request(const fl2_request* request) {
  FL_ASSIGN(const auto given, read_struct(request, fl2_request{}, "request"));
  FL_TRY(require(given.image, "a request's image"));
  Request out;
  out.image = &given.image->image;
  out.prompt = text_or_empty(given.prompt);
  if (out.prompt.empty()) {
    FL_ASSIGN(out.task, enumerator<Task>(given.task, kTaskCount, "task"));
  }
  FL_ASSIGN(out.options, run_options(given.options));
  return out;
}

fl2_batch::Answer batch_answer(Result<TaskResult> answered) {
  if (answered) return {FL2_OK, "", std::make_unique<fl2_result>(std::move(*answered))};
  return {status_of(answered.error().code), answered.error().text(), nullptr};
}

/// Checks the pointers that all kinds of runs share, runs `ask(runner, image, options)` and hands out its result.
template <typename Ask>
fl2_status run(fl2_runner* runner, const fl2_image* image, const fl2_run_options* options, fl2_result** result,
               const Ask& ask) {
  return call([&]() -> Status {
    FL_TRY(require(runner, "runner"));
    FL_TRY(require(image, "image"));
    FL_TRY(require(result, "result"));
    FL_ASSIGN(const RunOptions chosen, run_options(options));
    FL_ASSIGN(TaskResult answered, ask(runner->runner, image->image, chosen));
    give(result, std::move(answered));
    return {};
  });
}

}  // namespace
}  // namespace florence2::c_api

using namespace florence2;
using namespace florence2::c_api;

void fl2_run_options_init(fl2_run_options* options, size_t size) { write_defaults(run_defaults(), options, size); }

// --- Encoding -----------------------------------------------------------------------------------------

fl2_status fl2_runner_create(const fl2_model* model, int threads, fl2_runner** runner) {
  return call([&]() -> Status {
    FL_TRY(require(model, "model"));
    FL_TRY(require(runner, "runner"));
    FL_ASSIGN(Runner created, Runner::create(model->model, {threads}));
    give(runner, std::move(created));
    return {};
  });
}

void fl2_runner_free(fl2_runner* runner) { delete runner; }

fl2_status fl2_encode(fl2_runner* runner, const fl2_pixels* pixels, fl2_image** image) {
  return call([&]() -> Status {
    FL_TRY(require(runner, "runner"));
    FL_TRY(require(image, "image"));
    FL_ASSIGN(const ImageView view, image_view(pixels));
    FL_ASSIGN(EncodedImage encoded, runner->runner.encode(view));
    give(image, std::move(encoded));
    return {};
  });
}

fl2_status fl2_encode_picture(fl2_runner* runner, const fl2_picture* picture, fl2_image** image) {
  return call([&]() -> Status {
    FL_TRY(require(runner, "runner"));
    FL_TRY(require(picture, "picture"));
    FL_TRY(require(image, "image"));
    FL_ASSIGN(EncodedImage encoded, runner->runner.encode(picture->picture.view()));
    give(image, std::move(encoded));
    return {};
  });
}

fl2_status fl2_encode_batch(fl2_runner* runner, const fl2_pixels* pixels, size_t count, fl2_image** images) {
  return call([&]() -> Status {
    if (count == 0) return {};
    FL_TRY(require(runner, "runner"));
    FL_TRY(require(pixels, "pixels"));
    FL_TRY(require(images, "images"));
    std::vector<ImageView> views;
    for (size_t i = 0; i < count; ++i) {
      FL_ASSIGN(views.emplace_back(), image_view(element(pixels, i)));
    }
    FL_ASSIGN(std::vector<EncodedImage> encoded, runner->runner.encode_batch(views));
    std::vector<std::unique_ptr<fl2_image>> handles;
    for (EncodedImage& image : encoded) handles.push_back(std::make_unique<fl2_image>(fl2_image{std::move(image)}));
    for (size_t i = 0; i < handles.size(); ++i) images[i] = handles[i].release();
    return {};
  });
}

fl2_status fl2_image_save(const fl2_image* image, const char* path) {
  return call([&]() -> Status {
    FL_TRY(require(image, "image"));
    FL_TRY(require(path, "path"));
    return image->image.save(path);
  });
}

fl2_status fl2_image_load(const char* path, fl2_image** image) {
  return call([&]() -> Status {
    FL_TRY(require(path, "path"));
    FL_TRY(require(image, "image"));
    FL_ASSIGN(EncodedImage loaded, EncodedImage::load(path));
    give(image, std::move(loaded));
    return {};
  });
}

void fl2_image_free(fl2_image* image) { delete image; }
int fl2_image_equal(const fl2_image* a, const fl2_image* b) { return a->image == b->image; }
int fl2_image_width(const fl2_image* image) { return image->image.width(); }
int fl2_image_height(const fl2_image* image) { return image->image.height(); }
const float* fl2_image_features(const fl2_image* image) { return image->image.features().data(); }
int fl2_image_tokens(const fl2_image* image) { return image->image.tokens(); }
int fl2_image_dim(const fl2_image* image) { return image->image.dim(); }

// --- Asking -------------------------------------------------------------------------------------------

fl2_status fl2_run(fl2_runner* runner, const fl2_image* image, int task, const fl2_run_options* options,
                   fl2_result** result) {
  return run(runner, image, options, result,
             [&](Runner& by, const EncodedImage& about, const RunOptions& chosen) -> Result<TaskResult> {
               FL_ASSIGN(const Task of, enumerator<Task>(task, kTaskCount, "task"));
               return by.run(about, of, chosen);
             });
}

fl2_status fl2_run_prompt(fl2_runner* runner, const fl2_image* image, const char* prompt,
                          const fl2_run_options* options, fl2_result** result) {
  return run(runner, image, options, result,
             [&](Runner& by, const EncodedImage& about, const RunOptions& chosen) -> Result<TaskResult> {
               FL_TRY(require(prompt, "prompt"));
               return by.run_prompt(about, prompt, chosen);
             });
}

fl2_status fl2_run_custom(fl2_runner* runner, const fl2_image* image, const fl2_task_info* task,
                          const fl2_run_options* options, fl2_result** result) {
  return run(runner, image, options, result,
             [&](Runner& by, const EncodedImage& about, const RunOptions& chosen) -> Result<TaskResult> {
               FL_ASSIGN(const CustomTask own, custom_task(task));
               return by.run(about, own, chosen);
             });
}

fl2_status fl2_run_batch(fl2_runner* runner, const fl2_request* requests, size_t count, fl2_batch** batch) {
  return call([&]() -> Status {
    FL_TRY(require(runner, "runner"));
    FL_TRY(require(batch, "batch"));
    if (count > 0) {
      FL_TRY(require(requests, "requests"));
      FL_TRY(read_struct(requests, fl2_request{}, "request"));  // its size says where the others stand
    }
    std::vector<Status> read;
    std::vector<Request> asked;
    for (size_t i = 0; i < count; ++i) {
      auto request = batch_request(element(requests, i));
      read.push_back(request ? Status() : request.error());
      if (request) asked.push_back(std::move(*request));
    }
    FL_ASSIGN(auto results, runner->runner.run_batch(asked));
    auto next = results.begin();
    auto answers = std::make_unique<fl2_batch>();
    for (const Status& status : read)
      answers->answers.push_back(batch_answer(status ? std::move(*next++) : status.error()));
    *batch = answers.release();
    return {};
  });
}

void fl2_batch_free(fl2_batch* batch) { delete batch; }
size_t fl2_batch_count(const fl2_batch* batch) { return batch->answers.size(); }

fl2_status fl2_batch_status(const fl2_batch* batch, size_t index) {
  return index < batch->answers.size() ? batch->answers[index].status : FL2_ERROR_ARGUMENT;
}

const char* fl2_batch_error(const fl2_batch* batch, size_t index) {
  return index < batch->answers.size() ? batch->answers[index].error.c_str() : "there is no such request";
}

const fl2_result* fl2_batch_result(const fl2_batch* batch, size_t index) {
  return index < batch->answers.size() ? batch->answers[index].result.get() : nullptr;
}
