// JSON: one array, or an object a line.
#include "core/json.hpp"
#include "tools/formats.hpp"

namespace florence2 {
namespace {

class JsonWriter : public AnswerWriter {
 public:
  JsonWriter(Output output, RecordStyle style, bool lines) : output_(std::move(output)), style_(style), lines_(lines) {}

  Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result) override {
    return write(answer_record(picture, job, result, style_));
  }

  Status failure(const std::string& image, const Job& job, const Error& error) override {
    return write(failure_record(image, job, error));
  }

  Status finish() override {
    if (!lines_) FL_TRY(output_.write(empty_ ? "[]\n" : "]\n"));
    return output_.commit();
  }

 private:
  Status write(const json::Value& record) {
    const char* before = lines_ ? "" : empty_ ? "[" : ",\n";
    empty_ = false;
    return output_.write(before + json::dump(record) + (lines_ ? "\n" : ""));
  }

  Output output_;
  RecordStyle style_;
  bool lines_;
  bool empty_ = true;
};

}  // namespace

Writer json_writer(Output output, RecordStyle style) {
  return std::make_unique<JsonWriter>(std::move(output), style, false);
}

Writer json_lines_writer(Output output, RecordStyle style) {
  return std::make_unique<JsonWriter>(std::move(output), style, true);
}

}  // namespace florence2
