#include "tools/run_record.hpp"

#include <cmath>

#include "model/answer_json.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

/// Milliseconds to one decimal.
json::Value milliseconds(double value) { return std::round(value * 10) / 10; }

json::Value task_name(const Job& job) {
  if (job.task_token().empty()) return nullptr;
  return job.task_token();
}

json::Value token_array(const std::vector<std::int32_t>& ids) {
  json::Array array;
  for (const std::int32_t id : ids) array.emplace_back(id);
  return array;
}

json::Value string_array(const std::vector<std::string>& strings) {
  json::Array array;
  for (const std::string& string : strings) array.emplace_back(string);
  return array;
}

json::Value lines_json(const std::vector<Item>& items) {
  json::Array lines;
  for (const TextLine& line : text_lines(items)) {
    json::Array indices;
    for (const int index : line.items) indices.emplace_back(index);
    lines.emplace_back(json::Object{{"text", line.text},
                                    {"box", json::Array{line.box.x0, line.box.y0, line.box.x1, line.box.y1}},
                                    {"items", std::move(indices)},
                                    {"score", line.score}});
  }
  return lines;
}

json::Value timings(const PictureFacts& picture, const TaskResult& result) {
  return json::Object{{"decode_image", milliseconds(picture.decode_ms)},
                      {"preprocess", milliseconds(picture.encode.preprocess)},
                      {"vision", milliseconds(picture.encode.vision)},
                      {"prefill", milliseconds(result.timings.prefill)},
                      {"generate", milliseconds(result.timings.generate)}};
}

}  // namespace

json::Array region_array(const Box& region) { return {region.x0, region.y0, region.x1, region.y1}; }

json::Value answer_record(const PictureFacts& picture, const Job& job, const TaskResult& result, RecordStyle style) {
  json::Object record = {{"image", picture.input.path}, {"width", picture.width}, {"height", picture.height}};
  if (picture.frames > 1) {
    record.emplace_back("frames", picture.frames);
    record.emplace_back("used_frame", 0);
  }
  record.emplace_back("task", task_name(job));
  if (job.region) record.emplace_back("region", region_array(*job.region));
  record.emplace_back("prompt", result.prompt);
  record.emplace_back("answer", answer_json(result.answer, style.compat));
  record.emplace_back("items", items_json(result.answer, style.compat));
  if (result.answer.items_dropped > 0) record.emplace_back("items_dropped", result.answer.items_dropped);
  if (style.ocr_lines && result.answer.kind == AnswerKind::quads) {
    record.emplace_back("lines", lines_json(result.answer.items));
  }
  if (!result.absent_classes.empty()) record.emplace_back("absent_classes", string_array(result.absent_classes));
  record.emplace_back("text", result.text);
  record.emplace_back("token_ids", token_array(result.token_ids));
  record.emplace_back("score", result.score);
  record.emplace_back("confidence", result.confidence);
  record.emplace_back("finish_reason", result.finish_reason == FinishReason::stop ? "stop" : "length");
  record.emplace_back("precision", picture.precision);
  record.emplace_back("timings_ms", timings(picture, result));
  return record;
}

json::Value failure_record(const std::string& image, const Job& job, const Error& error) {
  json::Object details = {{"code", exit_status(error.code)}, {"message", error.text()}};
  return json::Object{{"image", image}, {"task", task_name(job)}, {"error", std::move(details)}};
}

}  // namespace florence2
