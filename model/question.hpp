// From a request to a decoding job, and from what was decoded to a result.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/stopwatch.hpp"
#include "model/answer_grammar.hpp"
#include "model/batch.hpp"
#include "model/engine.hpp"
#include "model/parse.hpp"
#include "model/text_stream.hpp"

namespace florence2 {

/// What is asked of which picture, and how the answer is read. Image and options belong to the caller.
struct Inquiry {
  const EncodedImage* image = nullptr;
  const RunOptions* options = nullptr;
  AnswerRules rules;
  std::optional<Task> task = {};  ///< of the table
  std::string prompt;
};

/// Errors argument: see build_prompt, and inputs that the task does not take.
Result<Inquiry> inquire(const EncodedImage& image, Task task, const RunOptions& options);
Result<Inquiry> inquire(const EncodedImage& image, const CustomTask& task, const RunOptions& options);
Result<Inquiry> inquire(const Request& request);

/// Those of `classes` that no item of `answer` has as its label.
std::vector<std::string> absent_classes(std::span<const std::string> classes, const Answer& answer);

/// One inquiry on its way through the text model. It stays where it is: its job refers to it.
class Question {
 public:
  /// Errors: argument and data of options and prompt; limit: a prompt that is too long; model: an
  /// end of answers that a grammar cannot know. The deadline counts from here.
  static Result<std::unique_ptr<Question>> prepare(const ModelImpl& model, Inquiry inquiry);

  const DecodeJob& job() const { return job_; }
  TaskResult result(Decoded decoded) const;

 private:
  Question(const ModelImpl& model, Inquiry inquiry);
  Status add_prompt();
  Status add_grammar();
  Status check_end() const;
  Status after_step(Search& search, bool more);
  /// Milliseconds since prepare().
  double elapsed_ms() const;

  const ModelImpl& model_;
  Inquiry inquiry_;
  const RunOptions& options_;
  DecodeJob job_;
  std::optional<AnswerGrammar> grammar_;
  TextStream stream_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace florence2
