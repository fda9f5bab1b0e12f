#include "tools/answer_writer.hpp"

#include <cstdio>

#include "tools/answer_text.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

std::string heading(const std::string& image, const Job& job) {
  std::string line = "== " + printable(image) + "  ";
  line += job.task ? std::string(job.task_token()) : printable(job.prompt);
  if (job.region) {
    char region[128];
    std::snprintf(region, sizeof(region), "  %g,%g,%g,%g", static_cast<double>(job.region->x0),
                  static_cast<double>(job.region->y0), static_cast<double>(job.region->x1),
                  static_cast<double>(job.region->y1));
    line += region;
  }
  return line + '\n';
}

}  // namespace

Status AnswerWriter::answer(const PictureFacts& picture, const Job& job, const TaskResult& result) {
  if (format_ != Format::text) return write_record(answer_record(picture, job, result, compat_));
  std::string text = headings_ ? (empty_ ? "" : "\n") + heading(picture.name, job) : "";
  empty_ = false;
  return output_.write(text + answer_text(result.answer));
}

Status AnswerWriter::failure(const std::string& image, const Job& job, const Error& error) {
  if (format_ == Format::text) return {};
  return write_record(failure_record(image, job, error));
}

Status AnswerWriter::write_record(const json::Value& record) {
  const char* before = format_ == Format::jsonl ? "" : empty_ ? "[" : ",\n";
  empty_ = false;
  return output_.write(before + json::dump(record) + (format_ == Format::jsonl ? "\n" : ""));
}

Status AnswerWriter::finish() {
  if (format_ == Format::json) FL_TRY(output_.write(empty_ ? "[]\n" : "]\n"));
  return output_.commit();
}

}  // namespace florence2
