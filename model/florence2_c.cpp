// The C API: status, tasks, pictures and models.
#include "model/florence2_c.hpp"

#include <array>

namespace florence2::c_api {
namespace {

thread_local std::string last_error;

/// The table's tasks with names and strings that end with NUL.
const std::array<CustomTask, kTaskCount>& named_tasks() {
  static const auto tasks = [] {
    std::array<CustomTask, kTaskCount> all;
    for (const TaskInfo& info : all_tasks()) {
      std::string name(info.token.substr(1, info.token.size() - 2));
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;  // in any locale
      all[static_cast<std::size_t>(info.task)] = {
          std::move(name), std::string(info.token),      std::string(info.prompt), info.answer,
          info.input,      std::string(info.description)};
    }
    return all;
  }();
  return tasks;
}

fl2_task_info task_info_of(const CustomTask& task) {
  return {sizeof(fl2_task_info),       task.name.c_str(),        task.token.c_str(),
          task.prompt.c_str(),         task.description.c_str(), static_cast<int>(task.answer),
          static_cast<int>(task.input)};
}

fl2_picture_options picture_defaults() {
  const PictureOptions defaults;
  return {sizeof(fl2_picture_options), defaults.exif_rotate, defaults.allow_truncated,
          defaults.scale_grey16,       defaults.max_pixels,  defaults.max_file_bytes};
}

Result<PictureOptions> picture_options(const fl2_picture_options* given) {
  FL_ASSIGN(const auto options, read_struct(given, picture_defaults(), "picture options"));
  return PictureOptions{options.exif_rotate != 0, options.allow_truncated != 0, options.scale_grey16 != 0,
                        options.max_pixels, options.max_file_bytes};
}

Result<std::vector<AdapterOptions>> adapter_list(const fl2_model_options& options) {
  FL_TRY(require_count(options.adapter_count, "adapter_count"));
  std::vector<AdapterOptions> adapters;
  for (int i = 0; i < options.adapter_count; ++i) {
    FL_TRY(require(options.adapters, "adapters"));
    FL_ASSIGN(const auto given,
              read_struct(element(options.adapters, static_cast<std::size_t>(i)), fl2_adapter{}, "adapter"));
    FL_TRY(require(given.directory, "an adapter's directory"));
    adapters.push_back({given.directory, given.scale});
  }
  return adapters;
}

Result<ModelOptions> model_options(const fl2_model_options* given) {
  FL_ASSIGN(const auto options, read_struct(given, fl2_model_options{}, "model options"));
  ModelOptions out;
  out.threads = options.threads;
  out.check_weights = options.check_weights != 0;
  out.isa = text_or_empty(options.isa);
  if (options.precision != nullptr) out.precision = options.precision;
  FL_ASSIGN(out.adapters, adapter_list(options));
  return out;
}

const char* warning_at(const std::vector<std::string>& warnings, int index) {
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 && at < warnings.size() ? warnings[at].c_str() : nullptr;
}

}  // namespace

fl2_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::argument:
      return FL2_ERROR_ARGUMENT;
    case ErrorCode::data:
      return FL2_ERROR_DATA;
    case ErrorCode::not_found:
      return FL2_ERROR_NOT_FOUND;
    case ErrorCode::unsupported:
      return FL2_ERROR_UNSUPPORTED;
    case ErrorCode::internal:
      return FL2_ERROR_INTERNAL;
    case ErrorCode::memory:
      return FL2_ERROR_MEMORY;
    case ErrorCode::cannot_create:
      return FL2_ERROR_CANNOT_CREATE;
    case ErrorCode::io:
      return FL2_ERROR_IO;
    case ErrorCode::limit:
      return FL2_ERROR_LIMIT;
    case ErrorCode::permission:
      return FL2_ERROR_PERMISSION;
    case ErrorCode::model:
      return FL2_ERROR_MODEL;
    case ErrorCode::cancelled:
      return FL2_ERROR_CANCELLED;
  }
  return FL2_ERROR_INTERNAL;
}

fl2_status fail(const Error& error) noexcept {
  try {
    last_error = error.text();
  } catch (...) {
    last_error = "out of memory";  // short enough to need none
  }
  return status_of(error.code);
}

}  // namespace florence2::c_api

using namespace florence2;
using namespace florence2::c_api;

static_assert(FL2_TASK_COUNT == kTaskCount && FL2_REGION_TO_OCR == static_cast<int>(Task::region_to_ocr));
static_assert(FL2_ANSWER_BOXES_OR_POLYGONS == static_cast<int>(AnswerKind::boxes_or_polygons));
static_assert(FL2_INPUT_REGION == static_cast<int>(TaskInput::region));
static_assert(FL2_COMPAT_MS == static_cast<int>(Compat::ms));

const char* fl2_last_error() { return last_error.c_str(); }

const char* fl2_version() {
  static const std::string text = version();
  return text.c_str();
}

const char* fl2_build_description() {
  static const std::string text = build_description();
  return text.c_str();
}

// --- Tasks --------------------------------------------------------------------------------------------

fl2_status fl2_task_describe(int task, fl2_task_info* info) {
  return call([&]() -> Status {
    FL_ASSIGN(const auto index, enumerator<std::size_t>(task, kTaskCount, "task"));
    return write_struct(task_info_of(named_tasks()[index]), info, "info");
  });
}

fl2_status fl2_task_parse(const char* name, fl2_task* task) {
  return call([&]() -> Status {
    FL_TRY(require(name, "name"));
    FL_TRY(require(task, "task"));
    FL_ASSIGN(const Task parsed, parse_task_name(name));
    *task = static_cast<fl2_task>(parsed);
    return {};
  });
}

fl2_status fl2_tasks_load(const char* path, fl2_tasks** tasks) {
  return call([&]() -> Status {
    FL_TRY(require(path, "path"));
    FL_TRY(require(tasks, "tasks"));
    FL_ASSIGN(auto loaded, load_tasks(path));
    give(tasks, std::move(loaded));
    return {};
  });
}

void fl2_tasks_free(fl2_tasks* tasks) { delete tasks; }

int fl2_tasks_count(const fl2_tasks* tasks) { return static_cast<int>(tasks->tasks.size()); }

fl2_status fl2_tasks_get(const fl2_tasks* tasks, int index, fl2_task_info* info) {
  return call([&]() -> Status {
    FL_TRY(require(tasks, "tasks"));
    FL_ASSIGN(const auto at, enumerator<std::size_t>(index, fl2_tasks_count(tasks), "index"));
    return write_struct(task_info_of(tasks->tasks[at]), info, "info");
  });
}

// --- Pictures -----------------------------------------------------------------------------------------

void fl2_picture_options_init(fl2_picture_options* options, size_t size) {
  write_defaults(picture_defaults(), options, size);
}

fl2_status fl2_picture_open(const char* path, const fl2_picture_options* options, fl2_picture** picture) {
  return call([&]() -> Status {
    FL_TRY(require(path, "path"));
    FL_TRY(require(picture, "picture"));
    FL_ASSIGN(const auto chosen, picture_options(options));
    FL_ASSIGN(auto opened, Picture::open(path, chosen));
    give(picture, std::move(opened));
    return {};
  });
}

fl2_status fl2_picture_decode(const void* bytes, size_t count, const char* name, const fl2_picture_options* options,
                              fl2_picture** picture) {
  return call([&]() -> Status {
    FL_TRY(require(bytes, "bytes"));
    FL_TRY(require(picture, "picture"));
    FL_ASSIGN(const auto chosen, picture_options(options));
    FL_ASSIGN(auto decoded,
              Picture::decode({static_cast<const std::byte*>(bytes), count}, text_or_empty(name), chosen));
    give(picture, std::move(decoded));
    return {};
  });
}

void fl2_picture_free(fl2_picture* picture) { delete picture; }
int fl2_picture_width(const fl2_picture* picture) { return picture->picture.width; }
int fl2_picture_height(const fl2_picture* picture) { return picture->picture.height; }
const uint8_t* fl2_picture_rgb(const fl2_picture* picture) { return picture->picture.rgb.data(); }
const char* fl2_picture_format(const fl2_picture* picture) { return picture->picture.format.c_str(); }
int fl2_picture_frames(const fl2_picture* picture) { return picture->picture.frames; }
int fl2_picture_warning_count(const fl2_picture* picture) { return static_cast<int>(picture->picture.warnings.size()); }
const char* fl2_picture_warning(const fl2_picture* picture, int index) {
  return warning_at(picture->picture.warnings, index);
}

// --- Models -------------------------------------------------------------------------------------------

void fl2_model_options_init(fl2_model_options* options, size_t size) {
  write_defaults(fl2_model_options{}, options, size);
}

fl2_status fl2_model_load(const char* directory, const fl2_model_options* options, fl2_model** model) {
  return call([&]() -> Status {
    FL_TRY(require(directory, "directory"));
    FL_TRY(require(model, "model"));
    FL_ASSIGN(const auto chosen, model_options(options));
    FL_ASSIGN(auto loaded, Model::load(directory, chosen));
    give(model, std::move(loaded));
    return {};
  });
}

void fl2_model_free(fl2_model* model) { delete model; }

fl2_status fl2_model_describe(const fl2_model* model, fl2_model_info* info) {
  return call([&]() -> Status {
    FL_TRY(require(model, "model"));
    const ModelInfo& from = model->model.info();
    fl2_model_info to{};
    to.directory = from.directory.c_str();
    to.size_name = from.size_name.c_str();
    to.layout = from.layout.c_str();
    to.storage = from.storage.c_str();
    to.isa = from.isa.c_str();
    to.precision = from.precision.c_str();
    to.parameters = from.parameters;
    to.weight_bytes = from.weight_bytes;
    to.image_side = from.image_side;
    to.image_tokens = from.image_tokens;
    to.d_model = from.d_model;
    to.encoder_layers = from.encoder_layers;
    to.decoder_layers = from.decoder_layers;
    to.vocabulary = from.vocabulary;
    to.positions = from.positions;
    to.tied_head = from.tied_head;
    to.warning_count = static_cast<int>(from.warnings.size());
    return write_struct(to, info, "info");
  });
}

const char* fl2_model_warning(const fl2_model* model, int index) {
  return warning_at(model->model.info().warnings, index);
}
