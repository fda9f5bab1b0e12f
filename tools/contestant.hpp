// A checkpoint in one precision, as `florence2 compare` sees it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/engine.hpp"
#include "tools/compare_metrics.hpp"
#include "tools/picture_batch.hpp"
#include "tools/stage_totals.hpp"

namespace florence2 {

struct ContestantSpec {
  std::string folder, precision;
};

/// What stays when the comparison is over.
struct ContestantFacts {
  std::string name;  ///< of columns
  ModelInfo model;
  std::int64_t file_bytes = 0;                  ///< of the weights on disk
  std::optional<std::int64_t> peak_bytes = {};  ///< peak_memory_of() loading and answering about one picture
  double load_ms = 0;
  StageTotals totals = {};
};

class Contestant {
 public:
  /// Errors as Model::load and Runner::create.
  static Result<Contestant> load(const ContestantSpec& spec, int threads);

  /// Runs the vision tower and asks all jobs. Errors as Runner::encode and ask_pictures.
  Result<std::vector<Result<TaskResult>>> answer(const ImageView& picture, std::span<const Job> jobs,
                                                 const RunOptions& shared);

  /// Begins to follow given tokens, at most `steps` of them, about the picture of the last answer().
  Status follow(const std::string& prompt, std::int64_t steps);
  /// Logits after the next token. Valid until the next call.
  std::span<const float> step(std::int32_t token);

  const ModelInfo& info() const { return model_.info(); }

  ContestantFacts facts;

 private:
  Contestant(Model model, Runner runner, int threads);

  Model model_;
  Runner runner_;
  std::unique_ptr<Engine> engine_;  // for follow()
  std::optional<EncodedImage> image_;
};

/// Leads all contestants along tokens (from the start token on) and compares each step's logits with the first one's:
/// one list a contestant, empty for the first and for those whose vocabulary or positions are not the same.
Result<std::vector<std::vector<LogitStep>>> compare_along(std::span<Contestant> contestants, const std::string& prompt,
                                                          std::span<const std::int32_t> tokens);

}  // namespace florence2
