// All outputs of a run: the answers, pictures with overlays, masks and crops.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/answer_writer.hpp"
#include "tools/requests.hpp"

namespace florence2 {

class RunOutputs {
 public:
  /// None of them may replace what the run reads: pictures, lists, the model in `model_folder`, adapters. Errors as
  /// those of the writers.
  static Result<RunOutputs> open(const RunSettings& settings, std::span<const Assignment> assignments,
                                 const std::string& model_folder);

  /// Tells every output, whatever became of the others, but those that take no more. Returns what could not be written
  /// for other reasons, which concerns this picture alone.
  std::vector<Error> tell(const std::function<Status(AnswerWriter&)>& tell);

  /// Why an output takes no more: a full disk or the like (io), or else a reader that left (cancelled).
  const std::optional<Error>& lost() const { return lost_; }
  bool all_lost() const;

  /// Completes every output, whatever became of the others.
  std::vector<Error> finish();

 private:
  struct One {
    Writer writer;
    bool lost = false;
  };
  Status add_drawing(const RunSettings& settings, std::span<const Assignment> assignments, const SharedNames& names);
  /// False: the output takes no more, because of `error`.
  bool survives(const Error& error);

  std::vector<One> outputs_;
  std::optional<Error> lost_;
};

}  // namespace florence2
