// Where answers go, whatever the format. A picture's answers arrive in the order asked, then picture_done().
#pragma once

#include <memory>
#include <string>

#include "tools/output_names.hpp"
#include "tools/run_record.hpp"
#include "tools/run_settings.hpp"

namespace florence2 {

class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  /// Text of an answer as it appears (--stream), before the answer itself.
  virtual Status piece(const PictureFacts&, const Job&, std::string_view) { return {}; }
  virtual Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result) = 0;
  /// Most formats have nothing to say about failures: they stand on standard error.
  virtual Status failure(const std::string&, const Job&, const Error&) { return {}; }
  /// All jobs on the picture were answered. Not called when one of them failed.
  virtual Status picture_done(const PictureFacts&) { return {}; }
  /// Completes what was written; also called when the run was interrupted.
  virtual Status finish() = 0;
};

using Writer = std::unique_ptr<AnswerWriter>;

/// The writer of settings.format, on settings.output. `headings`: text says what each answer belongs to. Errors as
/// Output, OutputFolder and OutputNames.
Result<Writer> make_answer_writer(const RunSettings& settings, bool headings,
                                  const SharedNames& names = std::make_shared<OutputNames>());

}  // namespace florence2
