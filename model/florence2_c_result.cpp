// The C API: answers, and the edges of the model alone.
#include <cstdlib>
#include <new>

#include "model/florence2_c.hpp"

namespace florence2::c_api {
namespace {

void append(std::vector<float>& xy, const Point& point) { xy.insert(xy.end(), {point.x, point.y}); }

fl2_result::Item flat_item(const Item& item) {
  fl2_result::Item flat;
  if (const auto* box = std::get_if<Box>(&item.shape)) {
    flat.xy = {box->x0, box->y0, box->x1, box->y1};
  } else if (const auto* quad = std::get_if<Quad>(&item.shape)) {
    flat.shape = FL2_SHAPE_QUAD;
    for (const Point& corner : *quad) append(flat.xy, corner);
  } else {
    flat.shape = FL2_SHAPE_POLYGONS;
    for (const auto& polygon : std::get<Polygons>(item.shape)) {
      flat.polygon_points.push_back(static_cast<int>(polygon.size()));
      for (const Point& point : polygon) append(flat.xy, point);
    }
  }
  return flat;
}

Status give_answer(Answer answer, fl2_result** result) {
  TaskResult parsed;
  parsed.answer = std::move(answer);
  give(result, std::move(parsed));
  return {};
}

/// A copy that fl2_string_free frees.
Status give_string(const std::string& text, char** out) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  *out = copy;
  return {};
}

}  // namespace
}  // namespace florence2::c_api

using namespace florence2;
using namespace florence2::c_api;

fl2_result::fl2_result(TaskResult answered) : result(std::move(answered)) {
  for (const florence2::Item& item : result.answer.items) items.push_back(flat_item(item));
  if (result.answer.kind == AnswerKind::quads) lines = text_lines(result.answer.items);
  for (const std::string& name : result.absent_classes) absent_classes.push_back(name.c_str());
}

void fl2_result_free(fl2_result* result) { delete result; }

fl2_answer_kind fl2_result_kind(const fl2_result* result) {
  return static_cast<fl2_answer_kind>(result->result.answer.kind);
}

const char* fl2_result_text(const fl2_result* result) { return result->result.answer.text.c_str(); }
int fl2_result_item_count(const fl2_result* result) { return static_cast<int>(result->items.size()); }
int fl2_result_items_dropped(const fl2_result* result) { return result->result.answer.items_dropped; }
int fl2_result_line_count(const fl2_result* result) { return static_cast<int>(result->lines.size()); }

fl2_status fl2_result_item(const fl2_result* result, int index, fl2_item* item) {
  return call([&]() -> Status {
    FL_TRY(require(result, "result"));
    FL_ASSIGN(const auto at, enumerator<std::size_t>(index, fl2_result_item_count(result), "index"));
    const Item& named = result->result.answer.items[at];
    const fl2_result::Item& flat = result->items[at];
    fl2_item out{};
    out.label = named.label.c_str();
    out.shape = flat.shape;
    out.point_count = static_cast<int>(flat.xy.size() / 2);
    out.xy = flat.xy.data();
    out.polygon_count = static_cast<int>(flat.polygon_points.size());
    out.polygon_points = flat.polygon_points.data();
    out.score = named.score;
    out.label_score = named.label_score;
    return write_struct(out, item, "item");
  });
}

fl2_status fl2_result_line(const fl2_result* result, int index, fl2_text_line* line) {
  return call([&]() -> Status {
    FL_TRY(require(result, "result"));
    FL_ASSIGN(const auto at, enumerator<std::size_t>(index, fl2_result_line_count(result), "index"));
    const TextLine& found = result->lines[at];
    const Box& box = found.box;
    return write_struct(fl2_text_line{sizeof(fl2_text_line),
                                      found.text.c_str(),
                                      found.items.data(),
                                      static_cast<int>(found.items.size()),
                                      {box.x0, box.y0, box.x1, box.y1},
                                      found.score},
                        line, "line");
  });
}

fl2_status fl2_result_describe(const fl2_result* result, fl2_result_info* info) {
  return call([&]() -> Status {
    FL_TRY(require(result, "result"));
    const TaskResult& from = result->result;
    fl2_result_info to{};
    to.prompt = from.prompt.c_str();
    to.text = from.text.c_str();
    to.token_ids = from.token_ids.data();
    to.log_probs = from.log_probs.data();
    to.token_count = static_cast<int>(from.token_ids.size());
    to.complete = from.finish_reason == FinishReason::stop;
    to.score = from.score;
    to.confidence = from.confidence;
    to.absent_class_count = static_cast<int>(result->absent_classes.size());
    to.absent_classes = result->absent_classes.data();
    to.preprocess_ms = from.timings.preprocess;
    to.vision_ms = from.timings.vision;
    to.prefill_ms = from.timings.prefill;
    to.generate_ms = from.timings.generate;
    return write_struct(to, info, "info");
  });
}

// --- The edges of the model ---------------------------------------------------------------------------

fl2_status fl2_parse_answer(int task, const char* text, int width, int height, int compat, fl2_result** result) {
  return call([&]() -> Status {
    FL_TRY(require(text, "text"));
    FL_TRY(require(result, "result"));
    FL_ASSIGN(const Task of, enumerator<Task>(task, kTaskCount, "task"));
    FL_ASSIGN(const Compat like, enumerator<Compat>(compat, 3, "compat"));
    return give_answer(parse_answer(of, text, width, height, like), result);
  });
}

fl2_status fl2_parse_prompt_answer(int kind, const char* text, int width, int height, int compat, fl2_result** result) {
  return call([&]() -> Status {
    FL_TRY(require(text, "text"));
    FL_TRY(require(result, "result"));
    FL_ASSIGN(const AnswerKind as, enumerator<AnswerKind>(kind, 5, "kind"));
    FL_ASSIGN(const Compat like, enumerator<Compat>(compat, 3, "compat"));
    return give_answer(parse_answer(as, text, width, height, like), result);
  });
}

fl2_status fl2_build_prompt(int task, const char* input, int compat, char** prompt) {
  return call([&]() -> Status {
    FL_TRY(require(prompt, "prompt"));
    FL_ASSIGN(const Task of, enumerator<Task>(task, kTaskCount, "task"));
    FL_ASSIGN(const Compat like, enumerator<Compat>(compat, 3, "compat"));
    FL_ASSIGN(const std::string built, build_prompt(of, text_or_empty(input), like));
    return give_string(built, prompt);
  });
}

fl2_status fl2_region_tokens(const float region[4], int width, int height, char** tokens) {
  return call([&]() -> Status {
    FL_TRY(require(region, "region"));
    FL_TRY(require(tokens, "tokens"));
    FL_ASSIGN(const std::string built, region_tokens({region[0], region[1], region[2], region[3]}, width, height));
    return give_string(built, tokens);
  });
}

void fl2_string_free(char* string) { std::free(string); }
