#include "tools/run_record.hpp"

#include <cmath>

#include "model/answer_json.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

/// Milliseconds to one decimal.
json::Value milliseconds(double value) { return std::round(value * 10) / 10; }

json::Value task_name(const Job& job) {
  if (!job.task) return nullptr;
  return job.task_token();
}

json::Value token_array(const std::vector<std::int32_t>& ids) {
  json::Array array;
  for (const std::int32_t id : ids) array.emplace_back(id);
  return array;
}

json::Value timings(const PictureFacts& picture, const TaskResult& result) {
  return json::Object{{"decode_image", milliseconds(picture.decode_ms)},
                      {"preprocess", milliseconds(picture.encode.preprocess)},
                      {"vision", milliseconds(picture.encode.vision)},
                      {"prefill", milliseconds(result.timings.prefill)},
                      {"generate", milliseconds(result.timings.generate)}};
}

}  // namespace

json::Value answer_record(const PictureFacts& picture, const Job& job, const TaskResult& result, Compat compat) {
  json::Object record = {{"image", picture.input.path}, {"width", picture.width}, {"height", picture.height}};
  if (picture.frames > 1) {
    record.emplace_back("frames", picture.frames);
    record.emplace_back("used_frame", 0);
  }
  record.emplace_back("task", task_name(job));
  if (job.region) {
    const Box& box = *job.region;
    record.emplace_back("region", json::Array{box.x0, box.y0, box.x1, box.y1});
  }
  record.emplace_back("prompt", result.prompt);
  record.emplace_back("answer", answer_json(result.answer, compat));
  record.emplace_back("items", items_json(result.answer, compat));
  if (result.answer.items_dropped > 0) record.emplace_back("items_dropped", result.answer.items_dropped);
  record.emplace_back("text", result.text);
  record.emplace_back("token_ids", token_array(result.token_ids));
  record.emplace_back("score", result.score);
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
