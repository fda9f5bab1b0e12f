// Beam search in the ordered steps of the specification, section 10.3.
#pragma once

#include <optional>
#include <vector>

#include "core/buffer.hpp"
#include "kernels/rowwise.hpp"
#include "model/candidates.hpp"
#include "model/generate.hpp"
#include "model/token_limits.hpp"

namespace florence2 {

class BeamSearch : public Search {
 public:
  BeamSearch(Context& context, const GenerationRules& rules, const AnswerGrammar* grammar);

  Result<bool> advance(View<const float> logits) override;
  std::span<const std::int32_t> settled() override;
  std::vector<Hypothesis> take() override { return std::move(finished_); }

 private:
  struct Sequence {
    std::vector<std::int32_t> ids;
    std::vector<float> log_probs, confidences;
    GrammarState state;
    float score = 0;  // sum of log_probs (and kInactive)
  };
  /// The scores of one beam's tokens in this step.
  struct Row {
    View<const float> scores;  // logits, or log-probabilities with the repetition penalty
    LogSumExp sum;             // what makes them log-probabilities
    std::optional<float> log_mass;
  };

  /// Steps 1 and 2: the best 2 * width continuations of the running sequences.
  Status select(View<const float> logits);
  Row row_of(std::size_t beam, View<const float> logits, const LogSumExp& sum);
  /// Steps 3 to 6. False when the search is over.
  bool settle();
  void extend(std::size_t place, const Candidate& candidate);
  void fill_up(std::size_t survivors);
  /// Adds a hypothesis behind those with the same score and keeps the best `width`.
  void finish(const Candidate& candidate);
  float confidence_of(const Candidate& candidate);
  /// With `width` hypotheses finished: can no running sequence do better?
  bool is_decided() const;

  Context& context_;
  const GenerationRules& rules_;
  const AnswerGrammar* grammar_;
  std::size_t width_;
  TopCandidates top_;
  std::vector<Sequence> running_, next_;  // [width], best first
  std::vector<LogSumExp> sums_;           // [width]
  std::vector<TokenLimits> limits_;       // [width]
  std::vector<Row> rows_;                 // [width]; empty in forced steps
  Buffer<float> penalized_;               // [width, vocabulary], with a repetition penalty
  std::vector<std::int32_t> seen_;
  std::vector<Hypothesis> finished_;  // best first
  std::size_t settled_ = 1;           // ids that all sequences share
  bool over_ = false;
};

}  // namespace florence2
