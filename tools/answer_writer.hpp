// Answers in the order asked, as text, a JSON array or JSON lines.
#pragma once

#include <string>

#include "core/json.hpp"
#include "tools/output.hpp"
#include "tools/run_record.hpp"
#include "tools/run_settings.hpp"

namespace florence2 {

class AnswerWriter {
 public:
  /// `headings`: say in text what each answer belongs to.
  AnswerWriter(Output output, Format format, Compat compat, bool headings)
      : output_(std::move(output)), format_(format), compat_(compat), headings_(headings) {}

  Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result);
  /// Text has nothing to say about failures: they stand on standard error.
  Status failure(const std::string& image, const Job& job, const Error& error);
  Status finish();

 private:
  Status write_record(const json::Value& record);

  Output output_;
  Format format_;
  Compat compat_;
  bool headings_;
  bool empty_ = true;
};

}  // namespace florence2
